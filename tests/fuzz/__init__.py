"""Seeded hostile inputs for every surface that reads what people bring."""
