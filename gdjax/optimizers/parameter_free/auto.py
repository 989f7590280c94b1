"""An optimizer without learning rate, schedule and length of the run: Mechanic over Muon."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import Mask, WeightDecay
from gdjax.core.engine.transformation import transformation
from gdjax.optimizers.matrix.muon import muon
from gdjax.wrappers.averaging.averages import with_polynomial_averaging
from gdjax.wrappers.mechanize import mechanize

__all__ = ["auto"]


@transformation(kind="optimizer")
def auto(weight_decay: WeightDecay = 0.0, mask: Mask = None, *, matrix_axes: Any = None):
    """Auto: no learning rate or schedule. Mechanic finds the scale of Muon's steps; averaged.

        matrices: d = √max(in, out)·U·Vᵀ,    U·S·Vᵀ = mean gradient
        others: d = m̂ / √v̂,    m̂ and v̂ of `adam`
        h = ⟨Δ, g⟩
        m ← max(β·m, |h|)      v ← β²·v + h²      r ← max(β·r − s·h, 0)
        s ← (m/6 + r) / √v
        Δ ← Δ − 0.003·(d + λθ)      θ ← θ₀ + Σs·Δ
        x ← (1 − c)·x + c·θ,        c = 9/(t + 8)

    for the six values of β 0.9, 0.99, … There is no rate, no schedule and no number of steps to
    give, and the loss is not read. Entries of d have an RMS of about 1 in every array, so one
    factor Σs serves all; it begins at 1, and may rise and fall. Train at θ, and evaluate at the
    average x, which takes the place of a decaying rate: `gd.state.eval_params`. Gradients times
    any number give the same path. The first update is zero.

    It is a composition, and the parts may be changed there:

        with_polynomial_averaging(
            mechanize(
                muon(0.003, b1=0.9, eps=0, adam_b1=0.8, adam_b2=0.95, consistent_rms=1),
                weight_decay=0, eps=0, s_init=1),
            eta=8)

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> tx, loss = gd.auto(), lambda x: jnp.sum((x - 30.0) ** 2)
    >>> x = jnp.zeros(2)
    >>> state = tx.init(x)
    >>> for _ in range(200):
    ...     x, state = tx.step(jax.grad(loss)(x), state, x)
    >>> bool(loss(gd.state.eval_params(tx, state, x)) < 0.01)
    True

    Args:
        weight_decay: λ ≥ 0, decoupled from the gradient and scaled as the steps are.
        mask: Which parameters decay; see `add_decayed_weights`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. None for all
            arrays of two axes, `in out`, and of four, `in in in out`: kernels of convolutions.

    Raises:
        ValueError: `update` was called without params; see also `scale_by_muon`.

    Reference: Cutkosky, Defazio and Mehta, Mechanic: a learning rate tuner, 2023,
        https://arxiv.org/abs/2306.00144; Jordan et al., Muon: an optimizer for hidden layers in
        neural networks, 2024, https://kellerjordan.github.io/posts/muon/; Shamir and Zhang,
        Stochastic gradient descent for non-smooth optimization: convergence results and optimal
        averaging schemes, 2012, https://arxiv.org/abs/1212.1824
    """
    steps = muon(
        0.003,
        b1=0.9,
        eps=0.0,
        weight_decay=weight_decay,
        mask=mask,
        adam_b1=0.8,
        adam_b2=0.95,
        adam_weight_decay=weight_decay,
        matrix_axes=_matrices if matrix_axes is None else matrix_axes,
        consistent_rms=1.0,
    )
    # A decay of the factor would have units: it would make the rate inside matter.
    found = mechanize(steps, weight_decay=0.0, eps=0.0, s_init=1.0)
    return with_polynomial_averaging(found, eta=8.0)


def _matrices(params: Any) -> Any:
    """Arrays of two axes are matrices, of four axes convolutions; all others are vectors."""
    kinds = {2: "in out", 4: "in in in out"}
    return jax.tree.map(lambda x: kinds.get(jnp.ndim(x)), params)
