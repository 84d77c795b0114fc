"""What values mean beyond their types: zones of times, currencies of amounts, words of labels."""
