"""Linear classifiers on stored layers."""
