"""A version comes to serve on this instance."""
