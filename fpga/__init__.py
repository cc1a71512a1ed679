"""What a board adds to the chip: pins, clock, reset."""
