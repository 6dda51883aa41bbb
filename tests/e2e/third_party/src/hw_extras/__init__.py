"""Plugins of another package, as its author would write them: for tests."""
