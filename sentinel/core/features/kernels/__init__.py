"""Kernels over the rows of entity state."""
