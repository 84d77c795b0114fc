"""What drift publishes and keeps, as bytes."""
