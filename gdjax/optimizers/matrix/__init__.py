"""Optimizers for matrices: orthogonalized, preconditioned and low-rank updates."""
