"""Conformance suites that a third party runs: what every family must do."""
