"""Training: a compiled loop (`minimize`), a table of an optimizer (`explain`), micro-batches."""
