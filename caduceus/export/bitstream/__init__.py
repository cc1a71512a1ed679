"""From a chip description to an FPGA's bitstream, and reports of its resources and timing."""
