"""Compositions that won or published something, each by its name, as one transformation.

Each is a function that returns a transformation made of public parts, which prints as the calls
that make it, and compares, pickles and is written as JSON like any other.
"""

from gdjax.recipes.track3 import track3_46

__all__ = ["track3_46"]
