"""What is counted: cells of columns, by groups of accounts and steps of event time."""
