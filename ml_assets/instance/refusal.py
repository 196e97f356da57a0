"""The one error a command raises on purpose."""


class Refusal(Exception):
    """What was asked for can't be done; the message is for the person who asked."""
