"""A folder that registers two cost models, which it is held against together."""
