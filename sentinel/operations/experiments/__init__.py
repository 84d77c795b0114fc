"""Experiments as files and stores hold them: what their commands do."""
