"""Matrices distributed over a mesh of devices."""
