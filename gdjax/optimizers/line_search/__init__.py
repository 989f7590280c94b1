"""L-BFGS and line searches."""
