"""Wrappers that keep parameters or state in other precisions or places."""
