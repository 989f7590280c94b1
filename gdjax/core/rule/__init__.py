"""Functions for update rules: trees of arrays, numerics, errors, roles of state arrays."""
