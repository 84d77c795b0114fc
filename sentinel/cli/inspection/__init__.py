"""What was decided, and why: looked into from the archive."""
