"""Parameter-free methods: learning rates estimated during training."""
