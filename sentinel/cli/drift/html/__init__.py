"""The report of drift as one page that needs nothing else."""
