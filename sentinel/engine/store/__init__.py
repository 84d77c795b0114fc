"""Whose a state store is, and whether it still holds what it was given."""
