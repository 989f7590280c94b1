"""Iterate averaging in the place of a schedule."""
