"""Adaptive learning rates: AdaGrad, RMSProp, AdaDelta, Rprop, MADGRAD."""
