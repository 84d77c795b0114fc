"""Decisions, labels and the audit into the archive, and what follows from them."""
