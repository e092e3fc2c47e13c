"""In-memory computing on crossbar arrays: `spec`, `kernel`, `model`, `validation`; the equations are in README.md."""
