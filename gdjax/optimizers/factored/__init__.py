"""Factored second moments: one number for each row and column of a matrix."""
