"""From a network to what the chip's tiles are told to do."""
