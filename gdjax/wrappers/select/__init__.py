"""A transformation for some of the parameters, and others for the rest."""
