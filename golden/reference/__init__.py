"""What the chip computes, one readable file per block: the authority for every bit."""
