"""The two-level loop: FAST prunes pairs by cost alone, SLOW trains the promising ones."""
