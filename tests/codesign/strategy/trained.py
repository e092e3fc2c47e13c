"""Strategies with an inner trainer: they ask for images and for networks of chosen operations."""

TRAINED = frozenset({"darts", "edgenas", "enas", "fbnet", "la_dnas", "pc_darts", "proxyless"})
