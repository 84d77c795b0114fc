"""The registry of models, as values: stages, and the steps between them."""
