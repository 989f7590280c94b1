"""Wrappers of transformations: masking, accumulation, guards, averages, precision, reshaping."""
