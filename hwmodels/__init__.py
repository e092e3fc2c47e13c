"""What a network costs on a piece of hardware: analytic, numba-accelerated cost models behind one interface."""
