"""Checks that stop an arm at once, however often they look, with a stated rate of false stops."""
