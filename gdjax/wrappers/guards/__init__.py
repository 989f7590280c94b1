"""Wrappers that leave out steps, or hold them back."""
