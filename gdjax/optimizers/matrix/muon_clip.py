"""MuonClip: Muon with QK-clip, which bounds the logits of attention."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.hyperparams import (
    Decay,
    LearningRate,
    Mask,
    NonNegative,
    Positive,
    WeightDecay,
)
from gdjax.core.engine.chain import chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import transformation
from gdjax.core.matrix import matrices
from gdjax.core.rule import errors, tree
from gdjax.optimizers.matrix.muon import muon
from gdjax.params.rules import select

__all__ = ["muon_clip", "qk_clip"]


@transformation
def qk_clip(
    threshold: Positive = 100.0,
    query: Any = None,
    key: Any = None,
    query_alone: Any = None,
    *,
    matrix_axes: Any = None,
):
    """QK-clip: scales down query and key weights of heads whose attention logits exceed a bound.

        γ = min(1, τ/S),    S the largest logit of a head in this step
        W_q ← √γ·W_q,    W_k ← √γ·W_k,    W_q ← γ·W_q where the keys are shared by heads

    It is the last stage of a chain, after the learning rate, and scales the weights after the step.
    `update` takes the extra argument `max_logits`: a tree of arrays of S with the upper levels of
    the tree of parameters; an array applies to all parameters below it:

        {"block_0": {"attention": jnp.array([93.0, 117.0])}, "block_1": ...}

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"query": jnp.ones((2, 2, 1)), "key": jnp.ones((2, 2, 1))}  # [in, heads, width]
    >>> tx = gd.chain(gd.sgd(0.0), gd.qk_clip(100.0, "query", "key", matrix_axes="in n out"))
    >>> S = jnp.array([50.0, 400.0])
    >>> after, _ = tx.step(params, tx.init(params), params, max_logits=S)
    >>> after["query"][..., 0]
    Array([[1. , 0.5],
           [1. , 0.5]], dtype=float32)

    Args:
        threshold: τ > 0, in the units of the logits.
        query: Which parameters are query weights, a rule of `gdjax.params`; None for none.
        key: Which parameters are key weights.
        query_alone: Which parameters are query weights whose keys are shared by heads and not
            scaled: the rotary part of latent attention, and grouped-query attention.
        matrix_axes: Which of their axes number the heads, see `gdjax.matrix_axes`: "in n out", or
            "in (8 out)". S has the shape of these axes, or is a number.

    Raises:
        ValueError: `update` was called without params; `max_logits` has no entry for a parameter,
            or one whose shape is not that of its heads.

    Reference: Kimi Team, Kimi K2: open agentic intelligence, 2025,
        https://arxiv.org/abs/2507.20534
    """
    shares = ((query, 0.5), (key, 0.5), (query_alone, 1.0))

    def update(updates, state, params=None, *, max_logits, **extra):
        errors.need_params("qk_clip", params)
        leaves, treedef = jax.tree.flatten(updates, is_leaf=tree.is_none)
        powers = [0.0] * len(leaves)
        for rule, share in shares:
            if rule is not None:
                flags = jax.tree.leaves(select(updates, rule, "qk_clip"), is_leaf=tree.is_none)
                powers = [share if flag else old for flag, old in zip(flags, powers)]
        axes = matrices.axes_of(updates, matrix_axes, "qk_clip")[1]
        names = tree.paths(updates, tree.is_none)
        out = []
        for u, p, a, name, share in zip(leaves, treedef.flatten_up_to(params), axes, names, powers):
            if not share or not tree.differentiable(u):
                out.append(u)
                continue
            heads = _entry(max_logits, name, () if a is None else a.lead)
            sharp = heads > threshold
            gamma = jnp.where(sharp, threshold / jnp.where(sharp, heads, 1), 1)
            out.append(tree.map(lambda u, p, f=gamma**share, a=a: _times(u, p, f, a), u, p))
        return treedef.unflatten(out), state

    return lambda params: EmptyState(), update


def _times(u: jax.Array, p: jax.Array, factor: jax.Array, axes: Any) -> jax.Array:
    """The update that leads to factor·(p + u); u itself where the factor is 1."""
    less = (factor - 1).astype(u.dtype)
    if less.ndim == 0:
        return u + less * (p + u)
    return u + axes.unstack(less[..., None, None] * axes.stack(p + u), u)


def _entry(max_logits: Any, name: str, lead: tuple[int, ...]) -> jax.Array:
    """The largest logits of a parameter: the entry at its path or at a path above it."""
    entries = dict(zip(tree.paths(max_logits), jax.tree.leaves(max_logits)))
    words = name.split("/")
    found = (entries.get("/".join(words[:n])) for n in range(len(words) + 1))
    heads = next((x for x in found if x is not None), None)
    if heads is None:
        must = f"max_logits must have an entry for {name!r} or a level above it"
        errors.fail("qk_clip", must, f"entries for {', '.join(entries) or 'nothing'}")
    if np.shape(heads) not in ((), lead):
        must = f"max_logits must have the shape of the heads of {name!r}, {lead}"
        errors.fail("qk_clip", must, f"shape {np.shape(heads)}", instead="See matrix_axes.")
    return jnp.asarray(heads)


@transformation(kind="optimizer")
def muon_clip(
    learning_rate: LearningRate,
    threshold: Positive = 100.0,
    query: Any = None,
    key: Any = None,
    query_alone: Any = None,
    b1: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: WeightDecay = 0.1,
    mask: Mask = None,
    mu_dtype: Any = None,
    *,
    backend: Any = "standard",
    steps: int = 5,
    dtype: Any = None,
    consistent_rms: NonNegative = 0.2,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_weight_decay: WeightDecay = 0.0,
    adam_learning_rate: LearningRate | None = None,
    matrix_axes: Any = None,
    head_axes: Any = None,
):
    """MuonClip: Muon with QK-clip against large attention logits, AdamW for other parameters.

        W ← W − η·(0.2·√max(in, out)·U·Vᵀ + λW),    U·S·Vᵀ = mean gradient
        then, for queries and keys:  W ← √γ·W,    γ = min(1, τ / largest logit of the head)

    Embeddings, the last layer and vectors are updated by AdamW, as in `muon`. `update` takes the
    extra argument `max_logits`, see `qk_clip`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"query": jnp.eye(2), "key": jnp.eye(2)}
    >>> tx = gd.muon_clip(0.0, 100.0, "query", "key", head_axes="in (2 out)")
    >>> S = jnp.array([50.0, 400.0])
    >>> after, _ = tx.step(params, tx.init(params), params, max_logits=S)
    >>> after["key"]
    Array([[1. , 0. ],
           [0. , 0.5]], dtype=float32)

    Args:
        learning_rate: η ≥ 0.
        threshold: τ > 0, in the units of the logits.
        query: Which parameters are query weights, a rule of `gdjax.params`; None for none.
        key: Which parameters are key weights.
        query_alone: Which are query weights whose keys are shared by heads; see `qk_clip`.
        b1: Decay of the mean gradient, in [0, 1).
        eps: In the units of the gradient; also AdamW's eps.
        weight_decay: λ ≥ 0, of the matrices.
        mask: Which parameters decay; see `add_decayed_weights`.
        mu_dtype: Dtype in which mean gradients are kept; float32 or wider by default.
        backend: How matrices are orthogonalized, see `orthogonalize`.
        steps: Steps of the iteration.
        dtype: Dtype of the iteration, such as `jnp.bfloat16`; see `orthogonalize`.
        consistent_rms: Root mean square of the entries of U·Vᵀ; see `scale_by_shape`.
        adam_b1: Decay of AdamW's mean gradient, in [0, 1).
        adam_b2: Decay of AdamW's mean squared gradient, in [0, 1).
        adam_weight_decay: AdamW's weight decay.
        adam_learning_rate: AdamW's learning rate; None for `learning_rate`.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`. Arrays
            without matrix axes are updated by AdamW.
        head_axes: Which axes number the heads, in the form of `matrix_axes`, the default.

    Raises:
        ValueError: See `qk_clip`.

    Reference: Kimi Team, Kimi K2: open agentic intelligence, 2025,
        https://arxiv.org/abs/2507.20534
    """
    step = muon(
        learning_rate,
        backend,
        steps,
        b1,
        eps,
        weight_decay,
        mask,
        mu_dtype,
        nesterov=False,
        dtype=dtype,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_weight_decay=adam_weight_decay,
        adam_learning_rate=adam_learning_rate,
        matrix_axes=matrix_axes,
        consistent_rms=consistent_rms,
    )
    axes = matrix_axes if head_axes is None else head_axes
    return chain(step, qk_clip(threshold, query, key, query_alone, matrix_axes=axes))
