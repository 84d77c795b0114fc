"""The registry as the engine changes and remembers it."""
