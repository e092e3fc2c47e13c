"""What people look at after a run: summary, tables, figures and one self-contained page."""
