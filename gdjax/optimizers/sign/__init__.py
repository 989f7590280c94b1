"""Descent by the sign of the gradient."""
