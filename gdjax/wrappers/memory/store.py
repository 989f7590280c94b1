"""State in few bits between steps: 8-bit codes with a scale for each block, or bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.extra_args import call_update
from gdjax.core.engine.transformation import Pair, transformation
from gdjax.core.lowbit.quantized import Quantized, check_format, is_quantized, mix
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.wrappers.guards.cond import call_evaluate, call_step

if TYPE_CHECKING:
    import chex

__all__ = ["StoreState", "store"]

# Which fields of which states hold means of gradients, and which means of squares and other
# numbers that are never negative and that a rule divides by. An array does not tell.
MOMENTS: dict[str, tuple[str, ...]] = {
    "DAdaptAdamWState": ("exp_avg",),
    "DampenedTraceState": ("trace",),
    "EmaState": ("ema",),
    "MomoAdamState": ("exp_avg",),
    "MomoState": ("exp_avg",),
    "MuonState": ("mu",),
    "ProdigyState": ("exp_avg",),
    "ScaleByAdamMiniState": ("mu",),
    "ScaleByAdamState": ("mu",),
    "ScaleByAdanState": ("m", "v"),
    "ScaleByAdemamixState": ("m1", "m2"),
    "ScaleByAmsgradState": ("mu",),
    "ScaleByBeliefState": ("mu",),
    "ScaleByCameState": ("mu",),
    "ScaleByLionState": ("mu",),
    "ScaleByNadamState": ("mu",),
    "ScaleByNovogradState": ("mu",),
    "ScaleBySM3State": ("nu",),
    "ScaleBySimplifiedAdEMAMixState": ("m",),
    "SophiaState": ("mu",),
    "TraceState": ("trace",),
}
SQUARES: dict[str, tuple[str, ...]] = {
    "DAdaptAdamWState": ("exp_avg_sq",),
    "FactoredState": ("v",),
    "MadgradState": ("grad_sum_sq",),
    "MomoAdamState": ("exp_avg_sq",),
    "ProdigyState": ("exp_avg_sq",),
    "ScaleByAdaDeltaState": ("e_g", "e_x"),
    "ScaleByAdamState": ("nu",),
    "ScaleByAdanState": ("n",),
    "ScaleByAdemamixState": ("nu",),
    "ScaleByAmsgradState": ("nu", "nu_max"),
    "ScaleByBeliefState": ("nu",),
    "ScaleByNadamState": ("nu",),
    "ScaleByRmsState": ("nu",),
    "ScaleByRssState": ("sum_of_squares",),
    "ScaleBySimplifiedAdEMAMixState": ("n",),
}
# Stored only where they are named: a mean over 10⁴ steps and sums, to which a step adds less than
# a code can tell.
_SLOW = {("ScaleByAdemamixState", "m2"), ("MadgradState", "grad_sum_sq")}
_SLOW |= {("ScaleByRssState", "sum_of_squares")}


class StoreState(NamedTuple):
    """State of `store`."""

    step: chex.Array  # [] int32: calls so far; what is rounded at random depends on it
    inner_state: Any  # of the inner transformation, some of its arrays `Quantized`


@transformation
def store(
    inner: Any, format: str | Mapping[str, str] = "8bit", block: int = 256, min_size: int = 4096
):
    """Keeps the moments of a transformation in few bits between steps.

    A step reads them into float32, calls the transformation, and stores what it leaves. Formats:

    - `"8bit"`: 256 numbers of unequal distance, times a scale for each block. AdamW's 8 bytes of
      state for a parameter become 2.03. Second moments have codes of their own kind, and a
      positive one never becomes 0.
    - `"8bit-linear"`: 255 numbers of equal distance for the momentum of matrices, whose singular
      values count and not their entries (Muon); squares as in `"8bit"`.
    - `"8bit-companded"`: 2x / (1 + |x|) of first and √x of second moments at equal distances. Its
      paper has blocks of 32.
    - `"bf16"`: two bytes. Second moments are rounded at random: to nearest, one that decays by a
      thousandth at a step would stand still.

    Means of gradients and of squares are stored; all else stays as it is, and so do small arrays,
    complex ones, and sums to which each step adds little. A dict names the fields that are stored.
    A transformation of your own says which of its fields are which by the attributes `moments` and
    `squares` of its state's class.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.store(gd.adamw(1e-3), "8bit")
    >>> state = tx.init({"w": jnp.ones((64, 256)), "b": jnp.ones(3)})
    >>> nu = gd.state.find(state, "nu")
    >>> nu["w"].codes.dtype, nu["w"].scale.shape, nu["b"].dtype
    (dtype('uint8'), (64, 1), dtype('float32'))

    Args:
        inner: The transformation.
        format: One of the above, or a dict of a format for each field: `{"mu": "8bit"}`.
        block: How many entries have a scale together, at most; neighbours on the last axis.
        min_size: Arrays with fewer entries stay as they are.

    Raises:
        ValueError: There is no such format, no such field, or a field named for 8 bits does not
            say whether it holds squares.

    Reference: Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2021,
        https://arxiv.org/abs/2110.02861; Gonzalez Ortiz, Gupta, Renard and Blalock, FlashOptim:
        optimizers for memory efficient training, 2026, https://arxiv.org/abs/2602.23349
    """
    named = format if isinstance(format, Mapping) else None
    for one in [format] if named is None else named.values():
        check_format(one, "store")
    if block < 1:
        errors.fail("store", "block must be 1 or more", block)

    def kind_of(state: Any, field: str) -> tuple[str, bool] | None:
        """The format of a field, and whether it holds squares; None if it is not stored."""
        square = field in _declared(state, "squares", SQUARES)
        known = square or field in _declared(state, "moments", MOMENTS)
        if named is None:
            stays = not known or (type(state).__name__, field) in _SLOW
            return None if stays else (str(format), square)
        if field not in named:
            return None
        if not known and named[field] != "bf16":
            must = f"{field!r} must be known to hold moments or squares to be kept in 8 bits"
            hint = f'Give the class a line `moments = ("{field}",)` or `squares = ("{field}",)`.'
            errors.fail("store", must, f"a field of {type(state).__name__}", instead=hint)
        return named[field], square

    def pack(x: Any, to: str, square: bool) -> Any:
        if is_quantized(x) or not _is_real(x) or np.size(x) < min_size:
            return x
        return Quantized.of(x, to, square=square, block=block)

    def init(params):
        found: set[str] = set()

        def field(state, name, value):
            found.add(name)
            kind = kind_of(state, name)
            return (
                None
                if kind is None
                else jax.tree.map(lambda x: pack(x, *kind), value, is_leaf=is_quantized)
            )

        packed = _fields(inner.init(params), field)
        for name in named or ():
            if name not in found:
                hint = errors.nearest(name, found)
                errors.fail(
                    "store", "a format must be for a field of the state", name, instead=hint
                )
        return StoreState(zero_count(), packed)

    def repack(after: Any, state: Any) -> Any:
        seeds = _seeds(state.step)
        one = lambda old, new: (
            old.requantize(new, next(seeds)) if isinstance(old, Quantized) else new
        )
        packed = jax.tree.map(one, state.inner_state, after, is_leaf=is_quantized)
        return StoreState(increment(state.step), packed)

    def update(updates, state, params=None, **extra):
        wide = _unpack(state.inner_state)
        updates, after = call_update(inner, updates, wide, params, extra)
        return updates, repack(after, state)

    def step(updates, state, params, **extra):
        params, after = call_step(inner, updates, _unpack(state.inner_state), params, extra)
        return params, repack(after, state)

    def evaluate(state, params):
        return call_evaluate(inner, _unpack(state.inner_state), params)

    parts = lambda state: [("inner", inner, state.inner_state)]
    return Pair(init, update, step, parts, evaluate, batched=getattr(inner, "batched", False))


def _declared(state: Any, word: str, table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(getattr(state, word, ())) or table.get(type(state).__name__, ())


def _fields(node: Any, change: Callable[[Any, str, Any], Any]) -> Any:
    """A state with each field changed; those for which `change` gives None are looked into."""
    if hasattr(node, "_fields"):
        changed = {}
        for name, value in zip(node._fields, node):
            new = change(node, name, value)
            changed[name] = _fields(value, change) if new is None else new
        return node._replace(**changed)
    if isinstance(node, dict):
        return {name: _fields(value, change) for name, value in node.items()}
    if isinstance(node, (tuple, list)):
        return type(node)([_fields(value, change) for value in node])
    return node


def _unpack(state: Any) -> Any:
    one = lambda x: x.value() if isinstance(x, Quantized) else x
    return jax.tree.map(one, state, is_leaf=is_quantized)


def _seeds(step: jax.Array) -> Iterator[jax.Array]:
    """A number for each array, another at each step."""
    number = 0
    while True:
        number += 1
        yield mix(step.astype(jnp.uint32)) + np.uint32(number * 0x9E3779B9 & 0xFFFFFFFF)


def _is_real(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
