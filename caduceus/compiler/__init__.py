"""From a network to a chip's program."""
