"""Around an optimizer: a training loop, a table of what it does, micro-batches."""
