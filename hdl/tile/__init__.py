"""A tile: input path, LDPU, pooling, RX path, output path, and registers."""
