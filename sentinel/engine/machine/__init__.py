"""What an instance notices of the machine that it runs on, and does about it."""
