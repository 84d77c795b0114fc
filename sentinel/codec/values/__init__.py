"""What values mean beyond their types: zones, currencies, words of labels, fields of strangers."""
