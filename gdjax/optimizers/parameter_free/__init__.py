"""Learning rates that are found, not given."""
