"""Figures: PNG and SVG whose bytes depend on what they show alone."""
