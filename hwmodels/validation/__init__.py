"""What the families are held against: published tables, spaces and protocols, one file or folder a family."""
