"""The float32 problem on which 8-bit optimizers were recorded: 4096 unknowns, 16 blocks of 256.

A quadratic with a noise that does not depend on the point. Gradients of one block spread over a
factor of ten, so that no second moment is nothing beside the largest of its block: a package whose
map has a code for 0 divides by eps there. NumPy only.
"""

import numpy as np

__all__ = ["ARGUMENTS", "SHAPE", "STEPS", "gradient", "start"]

SHAPE = (16, 256)
STEPS = 20
SEEN = (1, 5, 20)  # the steps after which the point is recorded
ARGUMENTS = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}

_rng = np.random.default_rng(3)
_CURVATURE = np.exp(_rng.uniform(np.log(0.3), np.log(3.0), SHAPE))
_OPTIMUM = _rng.choice([-1.0, 1.0], SHAPE)
_NOISE = _rng.standard_normal((STEPS, *SHAPE))


def start():
    """Returns the start, float32 [16, 256]."""
    return np.zeros(SHAPE, np.float32)


def gradient(theta, t):
    """Returns the gradient at `theta` in step `t` (0 to 19), float32."""
    return (_CURVATURE * (theta - _OPTIMUM) + 0.1 * _NOISE[t]).astype(np.float32)
