"""Everything that waits or touches the world; no adapter knows another."""
