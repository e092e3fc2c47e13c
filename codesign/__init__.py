"""Which network and which hardware to look at next, and how good the network is."""
