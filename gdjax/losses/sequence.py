"""Connectionist temporal classification (CTC), for labels without alignment to frames."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics
from gdjax.losses.arrays import floats, log_softmax

__all__ = ["ctc_loss", "ctc_loss_with_forward_probs"]


def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: Any = -1e5,
) -> jax.Array:
    """CTC loss (connectionist temporal classification), summed over all alignments.

        l = −log Σ_π Πₜ p(πₜ),   π over the sequences that give the labels when repeated
        classes are merged and then blanks removed

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits = jnp.log(jnp.array([[[0.5, 0.5], [0.4, 0.6]]]))  # [batch, frames, classes]
    >>> loss = gd.ctc_loss(logits, jnp.zeros((1, 2)), jnp.array([[1]]), jnp.zeros((1, 1)))
    >>> print(jnp.array_str(jnp.exp(-loss), precision=4))  # all but two blanks: 1 − 0.5·0.4
    [0.8]

    Args:
        logits: [batch, frames, classes].
        logit_paddings: [batch, frames]: 1 for frames that are padding, else 0.
        labels: [batch, n], integers other than `blank_id`.
        label_paddings: [batch, n]: 1 for labels that are padding, after all others, else 0.
        blank_id: The class of the blank.
        log_epsilon: The value used for log 0: labels that do not fit into the frames have the loss
            −log_epsilon.

    Returns:
        [batch], float32 or wider.

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Graves et al., Connectionist temporal classification: labelling unsegmented
        sequence data with recurrent neural networks, 2006,
        https://doi.org/10.1145/1143844.1143891
    """
    arguments = logits, logit_paddings, labels, label_paddings
    return ctc_loss_with_forward_probs(*arguments, blank_id=blank_id, log_epsilon=log_epsilon)[0]


def ctc_loss_with_forward_probs(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: Any = -1e5,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """CTC loss, and the forward probabilities of all prefixes of the labels.

        b(t, n) = p(t, blank)·(b(t − 1, n) + y(t − 1, n))
        y(t, n) = p(t, yₙ)·(y(t − 1, n) + b(t − 1, n − 1) + [yₙ ≠ yₙ₋₁]·y(t − 1, n − 1))
        l = −log(b(T, N) + y(T, N))

    b(t, n) is the probability that t frames give the first n labels and the last frame is blank,
    y(t, n) that the last frame is the n-th label. Padded frames are ignored.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> logits = jnp.log(jnp.array([[[0.5, 0.5], [0.4, 0.6]]]))
    >>> _, blank, label = gd.ctc_loss_with_forward_probs(
    ...     logits, jnp.zeros((1, 2)), jnp.array([[1]]), jnp.zeros((1, 1))
    ... )
    >>> print(jnp.array_str(jnp.exp(blank[:, 0]), precision=4))
    [[0.5 0. ]
     [0.2 0.2]]

    Args:
        logits: [batch, frames, classes].
        logit_paddings: [batch, frames]: 1 for frames that are padding, else 0.
        labels: [batch, n], integers other than `blank_id`.
        label_paddings: [batch, n]: 1 for labels that are padding, after all others, else 0.
        blank_id: The class of the blank.
        log_epsilon: The value used for log 0.

    Returns:
        The losses, [batch]; log b, [frames, batch, n + 1]; log y, [frames, batch, n].

    Raises:
        ValueError: The shapes are not compatible.

    Reference: Graves et al., Connectionist temporal classification: labelling unsegmented
        sequence data with recurrent neural networks, 2006,
        https://doi.org/10.1145/1143844.1143891
    """
    name = "ctc_loss"
    (x,), labels = floats(name, logits=logits), jnp.asarray(labels)
    frame_pads, label_pads = jnp.asarray(logit_paddings), jnp.asarray(label_paddings)
    if x.ndim != 3 or frame_pads.shape != x.shape[:2]:
        must = "logits must be [batch, frames, classes] and logit_paddings [batch, frames]"
        errors.fail(name, must, f"{x.shape} and {frame_pads.shape}")
    if labels.ndim != 2 or len(labels) != len(x) or label_pads.shape != labels.shape:
        must = f"labels and label_paddings must be [{len(x)}, n], with the batch of logits"
        errors.fail(name, must, f"{labels.shape} and {label_pads.shape}")

    log_p = log_softmax(x, (2,))
    blanks = jnp.moveaxis(log_p[:, :, blank_id, None], 1, 0)  # [frames, batch, 1]
    labels = jnp.where(label_pads == 1, blank_id, labels)
    at_labels = jnp.take_along_axis(log_p, labels[:, None, :], axis=2)
    at_labels = jnp.moveaxis(at_labels, 1, 0)  # [frames, batch, n]
    repeated = jnp.pad(labels[:, 1:] == labels[:, :-1], ((0, 0), (1, 0)))[:, : labels.shape[1]]

    def frame(before, inputs):
        b, y = before
        blank, label, pad = inputs
        y_or_none = jnp.pad(y, ((0, 0), (1, 0)), constant_values=-jnp.inf)  # y(t, 0) is 0
        new_b = _log_sum(b, y_or_none) + blank
        stepped = jnp.where(repeated, -jnp.inf, y_or_none[:, :-1])
        new_y = _log_sum(y, b[:, :-1], stepped) + label
        pad = pad[:, None]
        after = jnp.where(pad, b, new_b), jnp.where(pad, y, new_y)
        return after, after

    start = jnp.full((len(x), labels.shape[1] + 1), -jnp.inf, x.dtype).at[:, 0].set(0)
    inputs = blanks, at_labels, frame_pads.T == 1
    (b, y), alphas = jax.lax.scan(frame, (start, jnp.full_like(start[:, 1:], -jnp.inf)), inputs)
    number = jnp.sum(label_pads == 0, axis=1)[:, None]
    y = jnp.pad(y, ((0, 0), (1, 0)), constant_values=-jnp.inf)
    total = jnp.take_along_axis(_log_sum(b, y), number, axis=1)[:, 0]
    log_epsilon = numerics.weak(log_epsilon)

    def bounded(log):
        return jnp.where(jnp.isneginf(log), log_epsilon, log)

    return -bounded(total), bounded(alphas[0]), bounded(alphas[1])


def _log_sum(*logs: jax.Array) -> jax.Array:
    """Log Σ exp, −∞ with derivative 0 where all are −∞."""
    stack = jnp.stack(logs)
    top = jax.lax.stop_gradient(jnp.max(stack, axis=0))
    some = ~jnp.isneginf(top)
    total = jnp.sum(jnp.exp(stack - jnp.where(some, top, 0)[None]), axis=0)
    return jnp.where(some, top + jnp.log(jnp.where(some, total, 1)), -jnp.inf)
