"""Layer-wise scaling of updates by the norms of weights or gradients."""
