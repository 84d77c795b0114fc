"""Commands that tell of experiments."""
