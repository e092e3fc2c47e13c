"""Benchmarks of strategies against exact fronts: definitions that do not change, and the scores of a search."""
