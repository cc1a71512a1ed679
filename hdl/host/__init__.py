"""The serial host port of a board."""
