"""What runs in the trainer's process: from examples to a candidate and a verdict on it."""
