"""The Verilog package of a chip, for other tools."""
