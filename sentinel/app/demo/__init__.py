"""A half-year of a small payment company, played through the real system in some minutes."""
