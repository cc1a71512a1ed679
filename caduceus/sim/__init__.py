"""Runs programs: builds the RTL, runs it in a simulator, compares it with the golden model."""
