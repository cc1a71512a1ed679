"""The parts of the set-up: what the system must have, the virtual environment, and Verilator."""
