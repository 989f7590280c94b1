"""Layers of the workloads, as functions of their weights, and how the weights begin."""

from __future__ import annotations

__all__ = [
    "attention",
    "convolution",
    "cross_entropy",
    "dense",
    "layer_norm",
    "network",
    "new_convolution",
    "new_dense",
    "new_network",
]

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def new_dense(keys: Iterator[Any], inputs: int, outputs: int) -> dict[str, jax.Array]:
    """Normal weights of deviation √(2 / inputs) (He), and biases of 0."""
    kernel = jax.random.normal(next(keys), (inputs, outputs)) * (2 / inputs) ** 0.5
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def dense(p: Any, x: Any) -> jax.Array:
    """x·W + b, x [n, inputs]."""
    return x @ p["kernel"] + p["bias"][None]


def new_network(keys: Iterator[Any], sizes: Sequence[int]) -> list[dict[str, jax.Array]]:
    """Weights of dense layers from each size to the next."""
    return [new_dense(keys, m, n) for m, n in zip(sizes, sizes[1:])]


def network(layers: Any, x: Any, activation: Any = jax.nn.relu) -> jax.Array:
    """Dense layers, an activation between them."""
    *inner, last = layers
    for p in inner:
        x = activation(dense(p, x))
    return dense(last, x)


def new_convolution(keys: Iterator[Any], size: Sequence[int], inputs: int, outputs: int) -> Any:
    """Normal weights [*size, inputs, outputs] of deviation √(2 / fan-in), and biases of 0."""
    deviation = (2 / (inputs * np.prod(size))) ** 0.5
    kernel = deviation * jax.random.normal(next(keys), (*size, inputs, outputs))
    return {"kernel": kernel, "bias": jnp.zeros(outputs)}


def convolution(p: Any, x: Any, stride: int = 1) -> jax.Array:
    """Convolution that keeps the size, divided by the stride; x [n, *places, channels]."""
    places = "HW"[: x.ndim - 2]
    forms = (f"N{places}C", f"{places}IO", f"N{places}C")
    strides = (stride,) * len(places)
    y = jax.lax.conv_general_dilated(x, p["kernel"], strides, "SAME", dimension_numbers=forms)
    return y + jnp.expand_dims(p["bias"], range(x.ndim - 1))


def layer_norm(p: Any, x: Any) -> jax.Array:
    """Each example with mean 0 and variance 1 over places and channels, then scaled and shifted."""
    axes = tuple(range(1, x.ndim))
    x = x - jnp.mean(x, axes, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(x * x, axes, keepdims=True) + 1e-5)
    scale, shift = (jnp.expand_dims(p[name], range(x.ndim - 1)) for name in ("scale", "shift"))
    return x * scale + shift


def attention(p: Any, x: Any) -> jax.Array:
    """One head of attention over [n, length, width], without a mask."""
    q, k, v = (x @ p[name] for name in ("query", "key", "value"))
    weights = jax.nn.softmax(q @ k.mT * q.shape[-1] ** -0.5)
    return weights @ v @ p["output"]


def cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Mean cross-entropy in nats; logits [n, classes]."""
    told = jnp.take_along_axis(logits, jnp.asarray(labels).astype(int)[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - told)
