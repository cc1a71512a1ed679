"""Chip descriptions that ship with the library, as package data."""
