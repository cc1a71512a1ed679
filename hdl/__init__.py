"""The chip's digital side in Amaranth, and the behavioral PCM array in SystemVerilog."""
