"""What a person asks of drift: two files compared."""
