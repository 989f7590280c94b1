"""Parameter shapes of GPT-2, Llama and ResNet-50, as abstract arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["MODELS", "gpt2", "llama", "resnet50", "small", "stacked_llama"]


def _arrays(shapes: Any, dtype: Any) -> Any:
    is_shape = lambda x: isinstance(x, tuple)
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s, dtype), shapes, is_leaf=is_shape)


def gpt2(
    dtype: Any = jnp.float32, *, layers: int = 12, width: int = 768, words: int = 50304
) -> Any:
    """GPT-2, 124 million numbers in 148 arrays.

    >>> import jax, math
    >>> sizes = [math.prod(x.shape) for x in jax.tree.leaves(gpt2())]
    >>> len(sizes), sum(sizes)
    (148, 124475904)
    """
    norm = {"scale": (width,), "bias": (width,)}
    dense = lambda m, n: {"kernel": (m, n), "bias": (n,)}
    shapes: dict[str, Any] = {"wte": (words, width), "wpe": (1024, width), "lnf": norm}
    for i in range(layers):
        shapes[f"h{i:02d}"] = {
            "ln1": norm,
            "qkv": dense(width, 3 * width),
            "out": dense(width, width),
            "ln2": norm,
            "up": dense(width, 4 * width),
            "down": dense(4 * width, width),
        }
    return _arrays(shapes, dtype)


def llama(dtype: Any = jnp.bfloat16, *, layers: int = 24, width: int = 2048) -> Any:
    """A Llama-like model, 1.3 billion numbers: gated layers without biases."""
    inner = 5504 * width // 2048
    shapes: dict[str, Any] = {"embed": (32000, width), "head": (width, 32000), "norm": (width,)}
    for i in range(layers):
        shapes[f"layer{i:02d}"] = {
            **{name: (width, width) for name in ("q", "k", "v", "o")},
            **{name: (width, inner) for name in ("gate", "up")},
            "down": (inner, width),
            "attention_norm": (width,),
            "norm": (width,),
        }
    return _arrays(shapes, dtype)


def stacked_llama(dtype: Any = jnp.bfloat16, *, layers: int = 24, width: int = 2048) -> Any:
    """The same model for `jax.lax.scan` over its layers: each array has a leading axis for them.

    >>> import jax
    >>> apart, stacked = llama(), stacked_llama()
    >>> len(jax.tree.leaves(apart)), len(jax.tree.leaves(stacked)), stacked["layers"]["q"].shape
    (219, 12, (24, 2048, 2048))
    """
    apart = llama(dtype, layers=layers, width=width)
    layer = apart["layer00"]
    stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((layers, *x.shape), x.dtype), layer)
    return {**{k: apart[k] for k in ("embed", "head", "norm")}, "layers": stacked}


def resnet50(dtype: Any = jnp.float32, *, width: int = 64) -> Any:
    """ResNet-50's convolutions, norms and head: 25,557,032 numbers in 161 arrays.

    >>> import jax, math
    >>> sizes = [math.prod(x.shape) for x in jax.tree.leaves(resnet50(width=32))]
    >>> len(sizes), sum(sizes)
    (161, 6917640)
    """
    conv = lambda k, m, n: {"kernel": (k, k, m, n), "scale": (n,), "bias": (n,)}
    shapes: dict[str, Any] = {
        "stem": conv(7, 3, width),
        "head": {"kernel": (32 * width, 1000), "bias": (1000,)},
    }
    came = width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = width << stage
        for block in range(blocks):
            held = {"one": conv(1, came, inner), "two": conv(3, inner, inner)}
            held["three"] = conv(1, inner, 4 * inner)
            if block == 0:
                held["shortcut"] = conv(1, came, 4 * inner)
            shapes[f"stage{stage}_{block}"], came = held, 4 * inner
    return _arrays(shapes, dtype)


def small(dtype: Any = jnp.float32) -> Any:
    """GPT-2 of two layers and width 128: compiles in a second."""
    return gpt2(dtype, layers=2, width=128, words=1024)


MODELS: dict[str, Callable[..., Any]] = {
    "gpt2": gpt2,
    "llama": llama,
    "resnet50": resnet50,
    "small": small,
    "stacked_llama": stacked_llama,
}
