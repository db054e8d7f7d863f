"""Odd and typical images: far from all others, of an odd look, or like most of their class."""
