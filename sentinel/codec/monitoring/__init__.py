"""What operators' own tools read: scrapes and log lines."""
