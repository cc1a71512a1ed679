"""What leaves the project: the Verilog package, the FPGA flow, netlists, the register manual."""
