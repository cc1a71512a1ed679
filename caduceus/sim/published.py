"""The published characterization of the chip (Le Gallo et al. 2023), as several commands use it."""

ZEROS = 0.3
"""Share of zeros among the uniformly random weights, and among the inputs."""
