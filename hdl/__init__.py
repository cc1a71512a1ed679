"""The chip's digital side in Amaranth, and the behavioural PCM array in SystemVerilog."""
