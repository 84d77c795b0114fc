"""From votes that contradict each other to the probability that a transaction is fraud."""
