"""The chip in numpy, bit for bit: the reference that the RTL is compared with."""
