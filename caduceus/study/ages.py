"""The times since programming that tables and sweeps look at."""

AGES = {"25 s": 25.0, "1 hour": 3600.0, "1 day": 86_400.0, "1 month": 30 * 86_400.0}
"""Seconds, by name."""
