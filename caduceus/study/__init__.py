"""Accuracy, sweeps, runs of whole networks, and their reports."""
