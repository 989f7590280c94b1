"""Updates in, updates out: the parts that optimizers are made of; none bears a paper's name."""
