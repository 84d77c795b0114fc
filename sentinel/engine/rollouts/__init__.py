"""Rollouts: a version is taken through its steps, by experiments, to the champion's place."""
