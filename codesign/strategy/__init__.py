"""Who is asked next: one file an algorithm, one ask/tell protocol for all."""
