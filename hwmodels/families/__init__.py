"""Hardware families: each a folder with its knobs, its arithmetic and its sources."""
