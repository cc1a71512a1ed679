"""The times since programming that tables and sweeps look at."""

from caduceus.devices.ages import words

AGES = {words(age): age for age in (25.0, 3600.0, 86_400.0, 30 * 86_400.0)}
"""Seconds, by name."""
