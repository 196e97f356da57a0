"""What can be wrong with what is asked of the lake."""


class LakeError(Exception):
    """What was asked of a table can't be done; the message says why and what to do."""


class Damaged(LakeError):
    """A file that a table names is lost or can't be read."""


class Overtaken(LakeError):
    """The table has moved on since its writer read it; nothing was written."""
