"""Pages that need nothing else: no network, no script, to read, to print, to hear."""
