"""Experiments: commands."""
