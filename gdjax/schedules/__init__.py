"""Functions of the step, for learning rates and for every other hyperparameter."""
