"""Netlists of the board's synthesis for simulation in place of the RTL."""
