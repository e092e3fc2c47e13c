"""FPGAs: tiled engines, streaming pipelines and overlays; three families on the same boards."""
