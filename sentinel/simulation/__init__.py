"""Synthetic cardholders, terminals and fraudsters, for the demo, tests and benchmarks."""
