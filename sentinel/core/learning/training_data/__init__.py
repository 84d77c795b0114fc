"""Which examples an update is trained on, and which it is judged by."""
