"""Extraction: images through a network into the row cache, and from there into feature files."""
