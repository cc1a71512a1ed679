"""Benchmarks: what is measured, never asserted."""
