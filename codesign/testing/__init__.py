"""Conformance suites of plug-ins: pytest classes that their packages subclass."""
