"""Central processing units: phones, boards, microcontrollers, servers and desktops."""
