"""Around the PCM array: modulator, converters, programming, and the array itself, three times."""
