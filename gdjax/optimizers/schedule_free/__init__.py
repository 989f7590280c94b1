"""Schedule-Free: iterate averaging in place of learning-rate decay."""
