"""Links, the packet switch of a tile, and the chip that they make of tiles and slices."""
