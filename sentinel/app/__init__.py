"""The composition root: the only layer that knows everyone."""
