"""What a person asks for, as functions: the command line is one face of them."""
