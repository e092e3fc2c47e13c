"""GPUs: multiprocessors with tensor units behind an L2 cache, and the kernels and runtime that run on them."""
