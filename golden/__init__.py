"""The chip in numpy, bit for bit: `reference` defines it, `fast` computes it, `machine` runs it."""
