"""A user's own data: the configuration checked, a history trained on, a file sent."""
