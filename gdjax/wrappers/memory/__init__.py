"""Precision and memory of parameters and state: 16-bit weights, 8-bit state, host offloading."""
