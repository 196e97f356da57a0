"""Scoring: predictions of the population at an as_of."""
