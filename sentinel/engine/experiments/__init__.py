"""Experiments: routing, outcomes, verdicts, and what comes of them."""
