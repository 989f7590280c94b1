"""Stochastic gradient descent, with momentum, noise and privacy."""
