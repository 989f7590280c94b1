"""Stages of optimizers: momentum, clipping, weight decay, normalization, noise, monitoring."""
