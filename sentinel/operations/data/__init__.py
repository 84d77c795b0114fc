"""Files of transactions and labels: as history, into topics, into the store."""
