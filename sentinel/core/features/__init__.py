"""Entity state and windows: from transactions to a feature matrix."""
