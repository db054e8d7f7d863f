"""Nearest neighbours of stored features: exact, or through a FAISS index."""

from pipeline.search.searcher import Neighbor, Neighbors, Searcher

__all__ = ["Neighbor", "Neighbors", "Searcher"]
