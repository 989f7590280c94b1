"""Optimizers of matrices: orthogonalized and preconditioned updates."""
