"""Commands that tell of drift."""
