"""Slow, obviously right twins of the fast core, written from the specifications alone."""
