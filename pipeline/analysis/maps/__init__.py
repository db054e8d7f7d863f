"""Maps of a layer in the plane, and how far to trust them: a method is a file, and a line in `methods.py`."""
