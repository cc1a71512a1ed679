"""Netlists of the board's synthesis in simulators, in the place of the RTL."""
