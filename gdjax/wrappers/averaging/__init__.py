"""Wrappers that average the parameters."""
