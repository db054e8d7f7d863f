"""Files: whole or not there, canonical, and with digests."""
