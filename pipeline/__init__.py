"""Pool5: a feature store for image datasets, run by DVC."""

__version__ = "0.1.0"
