"""Whether a challenger replaces the champion: the tests behind the word."""
