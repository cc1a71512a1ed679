"""How the published chip was characterised (Le Gallo et al. 2023): what several commands repeat."""

ZEROS = 0.3
"""Share of the uniformly random weights, and of the inputs, that are 0."""
