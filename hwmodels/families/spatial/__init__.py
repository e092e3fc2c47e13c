"""Systolic arrays with on-chip buffers and a DRAM: output-, weight- and input-stationary dataflow."""
