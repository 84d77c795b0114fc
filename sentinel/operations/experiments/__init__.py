"""Experiments, as a person asks for them."""
