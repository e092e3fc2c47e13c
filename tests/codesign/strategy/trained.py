"""Strategies with spaces of their own: what trains asks for images and networks of operations, NEAT for neurons."""

TRAINED = frozenset({"darts", "edgenas", "enas", "fbnet", "la_dnas", "pc_darts", "proxyless"})

NEURAL = frozenset({"neat"})
