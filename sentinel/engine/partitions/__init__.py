"""Input partitions: where each stands, which labels wait for it, and which accounts are in it."""
