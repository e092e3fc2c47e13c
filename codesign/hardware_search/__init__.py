"""Hardware for given networks: the best designs of one, or the cost fronts of many over a whole grid."""
