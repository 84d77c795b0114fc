"""Which arm an account is assigned to."""
