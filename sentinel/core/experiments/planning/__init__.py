"""How long an experiment takes, and what it can find, by what has happened before."""
