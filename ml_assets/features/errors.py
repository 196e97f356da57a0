"""What can be wrong with a feature."""


class FeatureError(ValueError):
    """A feature that can't be computed; the message names the feature, what was found and what would do.

    ``found`` is the text in the declaration that is wrong, by which its line can be looked up.
    """

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found
