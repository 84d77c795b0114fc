"""Entity state: looked at, moved, taken over."""
