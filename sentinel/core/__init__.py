"""Judgement: numpy, scipy and numba. No await, no clock, no logging, no global randomness."""
