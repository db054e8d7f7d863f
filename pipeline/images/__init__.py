"""Images: bytes at an address, decoded and brought to the size that a network takes."""
