"""Which model serves, and where the next one comes from."""
