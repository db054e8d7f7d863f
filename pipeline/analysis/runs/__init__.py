"""Runs beside a baseline: what was changed, and what it did beyond noise."""
