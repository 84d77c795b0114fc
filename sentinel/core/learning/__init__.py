"""Sampling, metrics and calibration: what training and its judgement need."""
