"""The report of an experiment as a page."""
