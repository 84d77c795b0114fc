"""Nouns that are kept: cases and annotators, model versions, blobs of entity state."""
