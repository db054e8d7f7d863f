"""Data sets: images with splits and multi-label annotation."""
