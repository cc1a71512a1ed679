"""The Verilog package of a chip: what users' own tools take as it is."""
