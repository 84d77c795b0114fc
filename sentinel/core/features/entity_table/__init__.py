"""One row of state for each entity in memory: keys, slots, and what waits to be written."""
