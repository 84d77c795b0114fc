"""Topics, dead letters, stored state and compiled kernels."""
