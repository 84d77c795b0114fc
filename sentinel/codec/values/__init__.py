"""What values of fields mean beyond their types: zones of times, currencies of amounts."""
