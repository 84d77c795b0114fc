"""Feedback becomes labels."""
