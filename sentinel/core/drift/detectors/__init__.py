"""Detectors that look again and again, and alarm wrongly at a rate that is stated."""
