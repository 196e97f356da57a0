"""Evaluation: a holdout measured once, promotion gates, plots and the report."""
