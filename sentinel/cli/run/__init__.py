"""`sentinel run`, and what is seen of it."""
