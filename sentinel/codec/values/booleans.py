"""How files spell a truth, in any case."""

TRUE = ("true", "1", "1.0", "t", "y", "yes")
FALSE = ("false", "0", "0.0", "f", "n", "no")
