"""What operators say to all instances at once."""
