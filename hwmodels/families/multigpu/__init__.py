<<<<<<< HEAD
"""Several GPUs: topologies, collectives, sharded networks, plans of training and serving."""
=======
"""Several GPUs: branches of a network placed on them."""
>>>>>>> main
