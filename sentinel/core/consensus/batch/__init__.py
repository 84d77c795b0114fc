"""Dawid and Skene over many cases at once, and who votes alike."""
