"""Adaptive gradient clipping and ZClip."""

from __future__ import annotations

import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.references import Agree, descent, recorded, rule
from tests.transcription import at, each_tensor, trajectory

ROWS = [
    Row(gd.adaptive_grad_clip(0.1)),
    Row(gd.adaptive_grad_clip(0.1, 0.01, axis=()), label="adaptive_grad_clip-entries"),
    Row(gd.zclip(0.5, 0.9, warmup_steps=1)),
]


def adaptive_grad_clip(gradient, theta0, steps, *, eta, clipping, eps, columns=True):
    """AGC (Brock et al. 2021, equation 3) for w [in, out] with columns, or rows, as units."""

    def clipped(g, w):
        g = g.copy()
        sets = [(slice(None), j) for j in range(g.shape[1])] if g.ndim == 2 else [(slice(None),)]
        if g.ndim == 2 and not columns:
            sets = [(i, slice(None)) for i in range(g.shape[0])]
        for unit in sets:
            longest = clipping * max(np.linalg.norm(w[unit]), eps)
            if np.linalg.norm(g[unit]) > longest:
                g[unit] = longest * g[unit] / np.linalg.norm(g[unit])
        return g

    def step(theta, t):
        return theta - at(eta, t) * each_tensor(clipped, gradient(theta, t), theta)

    return trajectory(theta0, steps, step)


def zclip(gradient, theta0, steps, *, eta, z_thresh, alpha, warmup_steps):
    """ZClip (Kumar et al. 2025): statistics from the first steps, then reciprocal clipping."""
    first, mean, std = [], 0.0, 0.0

    def step(theta, t):
        nonlocal mean, std
        g = gradient(theta, t)
        norm = kept = np.linalg.norm(g)
        if t < warmup_steps:
            first.append(norm)
            mean, std = np.mean(first), np.std(first)
            return theta - at(eta, t) * g
        z = (norm - mean) / std
        if z > z_thresh:
            kept = mean + z_thresh**2 / z * std
        mean = alpha * mean + (1 - alpha) * kept
        std = np.sqrt(alpha * std**2 + (1 - alpha) * (kept - mean) ** 2)
        return theta - at(eta, t) * kept / norm * g

    return trajectory(theta0, steps, step)


AGREE = {
    "numpy-adaptive_grad_clip": Agree(
        descent(gd.adaptive_grad_clip(0.3, 0.5)),
        rule(adaptive_grad_clip, eta=0.3, clipping=0.3, eps=0.5),
    ),
    "numpy-adaptive_grad_clip-default": Agree(
        descent(gd.adaptive_grad_clip(0.2)),
        rule(adaptive_grad_clip, eta=0.3, clipping=0.2, eps=1e-3),
    ),
    "numpy-adaptive_grad_clip-rows": Agree(
        descent(gd.adaptive_grad_clip(0.3, 0.5, axis=-1)),
        rule(adaptive_grad_clip, eta=0.3, clipping=0.3, eps=0.5, columns=False),
    ),
    "numpy-zclip": Agree(
        descent(gd.zclip(1.0, 0.9, 5)),
        rule(zclip, eta=0.3, z_thresh=1.0, alpha=0.9, warmup_steps=5),
    ),
    "numpy-zclip-default": Agree(
        descent(gd.zclip(), eta=0.1),
        rule(zclip, eta=0.1, z_thresh=2.5, alpha=0.97, warmup_steps=25),
    ),
    "timm-agc": Agree(
        gd.chain(gd.adaptive_grad_clip(0.3, 0.5), gd.sgd(0.3)), recorded("layerwise", "timm/agc")
    ),
}


def test_after_one_step_of_warmup_spikes_are_clipped_to_the_mean():
    tx = gd.zclip(0.5, warmup_steps=1)
    state = tx.init(np.float32(0))
    for g, expected in ((1, 1), (9, 1)):
        u, state = tx.update(np.float32(g), state)
        assert u == expected
