"""How an instance is put together from its tasks and ports."""
