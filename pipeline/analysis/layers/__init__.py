"""How alike the images lie in two layers."""
