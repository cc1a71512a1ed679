"""Netlists of the board's synthesis in the RTL's benches: `make netlist-test`."""
