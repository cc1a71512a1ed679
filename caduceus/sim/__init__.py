"""Run programs: build the RTL, simulate it, compare every value with the golden model."""
