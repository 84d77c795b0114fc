"""What operators change while instances run: settings and switches."""
