"""Settings that are taken up while it runs."""
