"""Requests that the client does not make, or makes by an older version."""
