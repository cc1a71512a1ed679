"""cocotb benches, what they share, and the runner that builds and runs them."""
