"""Matrices distributed over a mesh of devices; arrays in host memory."""
