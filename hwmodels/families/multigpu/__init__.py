"""Several GPUs: topologies, collectives, sharded networks, plans of training and serving, placed branches."""
