"""Incidents to rehearse: what they do to a day's file, and what the project is expected to do about them."""
