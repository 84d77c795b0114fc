"""Scoring: records in, decisions out, and what the decisions of a partition stand on."""
