"""Training: multi-label networks, the same bytes each time, resumable at every epoch."""
