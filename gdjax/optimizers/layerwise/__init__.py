"""Updates scaled by the norm of each layer."""
