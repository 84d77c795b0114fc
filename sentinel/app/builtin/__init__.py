"""The built-in stream, its investigators, and what is known of its past."""
