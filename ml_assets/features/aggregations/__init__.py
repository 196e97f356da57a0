"""What features aggregate events by: a class each, with all that is to be said of it."""
