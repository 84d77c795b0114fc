"""Rollouts: by which steps a version comes to serve, and what keeps each of them."""
