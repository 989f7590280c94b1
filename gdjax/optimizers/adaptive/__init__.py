"""Adaptive rates without momentum: AdaGrad, RMSProp, AdaDelta, Rprop, MADGRAD."""
