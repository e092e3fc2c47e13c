"""Search spaces: points are integer vectors, whatever they stand for."""
