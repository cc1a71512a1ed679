"""The chip on an FPGA board: top level, and from the description to bitstream and report."""
