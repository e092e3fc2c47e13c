"""The exact Pareto front of a whole joint space: every network on every design, without training."""
