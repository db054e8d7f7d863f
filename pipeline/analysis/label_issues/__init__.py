"""Labels that are doubted: by a probe, and by images that are the same."""
