"""What people say of transactions, and what is held to be true."""
