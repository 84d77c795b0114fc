"""Experiments: who is assigned to which arm, and what is made of what came of it."""
