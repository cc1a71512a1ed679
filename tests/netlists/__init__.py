"""Netlists of the board's synthesis in the benches of the RTL: `make netlist-test`."""
