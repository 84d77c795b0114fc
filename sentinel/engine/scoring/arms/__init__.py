"""Who decides which transactions while experiments run, and what is counted of them at once."""
