"""From the one description of a network, its `Workload`, to the torch module that trains and runs."""

from codesign.network.module import Network, to_module

__all__ = ["Network", "to_module"]
