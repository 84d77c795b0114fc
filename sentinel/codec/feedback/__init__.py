"""Feedback: what it may be, and rows of files read as it."""
