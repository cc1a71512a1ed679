"""What drives a chip, whatever stands for it: golden model, RTL in a simulator, or a board."""
