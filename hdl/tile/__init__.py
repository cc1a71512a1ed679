"""A tile: gathering, LDPU, pooling, RX, its registers, and the tile as a whole."""
