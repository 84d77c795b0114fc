"""Two models on the same transactions: which one finds more fraud with as many alerts."""
