"""From a chip description to an FPGA's bitstream, and what the tools tell of it."""
