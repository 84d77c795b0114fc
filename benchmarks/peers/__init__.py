"""What a user would write or pick instead of Sentinel, doing the same job on the same broker."""
