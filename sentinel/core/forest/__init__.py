"""Forests of trees: read, merged, probed, and scored by kernels."""
