"""What can be wrong with a feature."""


class FeatureError(ValueError):
    """A feature that can't be computed; the message names the feature, what was found and what would do."""
