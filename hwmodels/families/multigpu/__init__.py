"""Several GPUs: branches of a network placed on them."""
