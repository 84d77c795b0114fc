"""What an instance says of itself over HTTP."""
