"""Networks that grow from trained ones: morphisms that keep the function, and weights carried over where none does."""
