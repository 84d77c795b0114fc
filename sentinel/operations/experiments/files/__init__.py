"""Experiments that come as files of outcomes."""
