"""Normalization and clipping by the norm of a block."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, rule
from tests.transcription import at, each_tensor, trajectory

ROWS = [
    Row(gd.scale_by_param_block_rms()),
    Row(gd.scale_by_param_block_norm(0.1)),
    Row(gd.clip_by_block_rms(0.3)),
    Row(gd.normalize()),
    Row(gd.normalize_by_update_norm(2.0, 1e-3)),
]


def block_rms_clip(gradient, theta0, steps, *, eta, threshold):
    """Descent, each block's root mean square cut at a threshold (Shazeer and Stern 2018)."""

    def clipped(g):
        return g / max(1.0, np.sqrt(np.mean(g**2)) / threshold)

    def step(theta, t):
        return theta - at(eta, t) * each_tensor(clipped, gradient(theta, t))

    return trajectory(theta0, steps, step)


def param_block(gradient, theta0, steps, *, eta, min_scale, mean):
    """Descent, each block's rate times max(ε, RMS(w)) or, not `mean`, times max(ε, ‖w‖)."""

    def scaled(g, w):
        total = np.sum(w**2)
        return g * max(min_scale, np.sqrt(total / w.size if mean else total))

    def step(theta, t):
        return theta - at(eta, t) * each_tensor(scaled, gradient(theta, t), theta)

    return trajectory(theta0, steps, step)


def normalized(gradient, theta0, steps, *, eta, scale=1.0, eps=0.0):
    """Descent by s·g/(‖g‖ + ε), all blocks as one vector."""

    def step(theta, t):
        g = gradient(theta, t)
        return theta - at(eta, t) * scale * g / (np.linalg.norm(g) + eps)

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-clip_by_block_rms": Agree(
        descent(gd.clip_by_block_rms(0.1)), rule(block_rms_clip, eta=0.3, threshold=0.1)
    ),
    "numpy-param-block-rms": Agree(
        descent(gd.scale_by_param_block_rms(0.7)),
        rule(param_block, eta=0.3, min_scale=0.7, mean=True),
    ),
    "numpy-param-block-norm": Agree(
        descent(gd.scale_by_param_block_norm(1.0)),
        rule(param_block, eta=0.3, min_scale=1.0, mean=False),
    ),
    "numpy-normalize": Agree(descent(gd.normalize(), eta=0.05), rule(normalized, eta=0.05)),
    "numpy-normalize_by_update_norm": Agree(
        descent(gd.normalize_by_update_norm(0.3, 0.2)),
        rule(normalized, eta=0.3, scale=0.3, eps=0.2),
    ),
    "numpy-normalize_by_update_norm-default": Agree(
        descent(gd.normalize_by_update_norm(), eta=0.05), rule(normalized, eta=0.05, eps=1e-6)
    ),
}


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_of_one_entry_norm_and_root_mean_square_are_the_absolute_value(shape):
    g, p = jnp.full(shape, -2.0), jnp.full(shape, 4.0)
    for tx, expected in [
        (gd.clip_by_block_rms(0.5), -0.5),
        (gd.clip_by_block_rms(1.9), -1.9),
        (gd.scale_by_param_block_rms(0.1), -8.0),
        (gd.scale_by_param_block_norm(0.1), -8.0),
        (gd.normalize(), -1.0),
        (gd.normalize_by_update_norm(eps=0.0), -1.0),
    ]:
        np.testing.assert_allclose(tx.update(g, tx.init(p), p)[0], expected, rtol=1e-6)
