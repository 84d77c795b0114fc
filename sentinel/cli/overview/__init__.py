"""The whole system on one screen."""
