"""What is due and why: sensors, ``ml-assets materialize``, drills and backtests ask the same functions."""
