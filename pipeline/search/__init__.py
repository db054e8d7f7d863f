"""Nearest neighbors of stored features: exact, or through a FAISS index."""

from .searcher import Neighbor, Neighbors, Searcher

__all__ = ["Neighbor", "Neighbors", "Searcher"]
