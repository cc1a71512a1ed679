"""The netlist of the board's synthesis in the place of RTL, under the benches."""
