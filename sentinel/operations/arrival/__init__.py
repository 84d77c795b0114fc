"""A file that nobody has described yet: what its columns are, and a configuration for it."""
