"""Proofs that the program of a transformation is the formula of its docstring."""
