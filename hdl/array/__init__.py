"""Modulator, bank reader, PCM-write unit, and the PCM array: macro, behavioral model, emulation."""
