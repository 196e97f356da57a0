"""Monitoring: drift against the training profile, and performance once labels have matured."""
