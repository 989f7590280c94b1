"""Quantized optimizer state: block-wise codes of 4 or 8 bits, or bfloat16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.engine.rule import Child, Rule
from gdjax.core.engine.transformation import (
    call_evaluate,
    call_step,
    call_update,
    name_of,
    transformation,
)
from gdjax.core.lowbit.quantized import Quantized, check_format, is_quantized
from gdjax.core.lowbit.twins import with_twins
from gdjax.core.lowbit.words import words
from gdjax.core.rule import errors
from gdjax.core.rule.numerics import increment, zero_count
from gdjax.core.rule.roles import Count, Role, map_fields, undeclared

__all__ = ["StoreState", "store"]


class StoreState(NamedTuple):
    """State of `store`."""

    step: Count  # calls so far; what is rounded at random depends on it
    inner_state: Any  # of the inner transformation, some of its arrays `Quantized`


@transformation(kind="wrapper")
def store(
    inner: Any, format: str | Mapping[str, str] = "8bit", block: int = 256, min_size: int = 4096
):
    """Quantizes optimizer state between steps (block-wise 4-bit, 8-bit or float8, or bfloat16).

    Each step dequantizes the state to float32, calls the transformation, and quantizes the new
    state. Formats:

    - `"8bit"`: a nonlinear code of 256 values, with a scale for each block. AdamW's state shrinks
      from 8 to 2.03 bytes a parameter. Second moments have a code of their own, in which a positive
      value never becomes 0.
    - `"8bit-linear"`: a linear code of 255 values for the momentum of matrices whose singular
      values matter more than their entries (Muon); squares as in `"8bit"`.
    - `"8bit-companded"`: linear codes of 2x / (1 + |x|) for first and of √x for second moments. The
      paper has blocks of 32.
    - `"4bit"`: 16 values, those of torchao. AdamW's state is 1.06 bytes a parameter in blocks of
      128, as in the paper, and 1.25 in blocks of 32, which lose less. Second moments have 1/16 to 1
      of the largest of their block, without 0.
    - `"float8_e4m3fn"`, `"float8_e5m2"`: 8-bit floats, with a scale for each block. The second has
      a wider range and fewer digits: for second moments.
    - `"bf16"`: two bytes.

    In the last four, second moments are rounded stochastically: under rounding to nearest, one that
    decays by a thousandth in a step would not change.

    Quantized are the fields that a state declares as a mean of gradients or of squares (`Mean`,
    `MeanSquare`, `MatrixMean`, `MatrixMeanSquare` of `gdjax.core.rule.roles`), in states of gdjax
    and of users. Everything else keeps its dtype: small and complex arrays; sums, to which a step
    adds little; initial parameters, from which distances are measured; bases, statistics and
    factors of matrices (SOAP, Shampoo, Kron). A dict names the fields to quantize instead: any
    field as `"bf16"`, means and sums in 8 bits too. Bases and inverse roots work well as `"bf16"`.
    Statistics are rounded to nearest, so they do not change where a step changes them by less than
    1/256.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.store(gd.adamw(1e-3), "8bit")
    >>> state = tx.init({"w": jnp.ones((64, 256)), "b": jnp.ones(3)})
    >>> nu = gd.state.find(state, "nu")
    >>> nu["w"].codes.dtype, nu["w"].scale.shape, nu["b"].dtype
    (dtype('uint8'), (64, 1), dtype('float32'))

    Args:
        inner: The transformation.
        format: One of the above, or a dict of a format for each field: `{"mu": "8bit"}`.
        block: The most entries that share a scale; neighbours on the last axis.
        min_size: Arrays with fewer entries are not quantized.

    Raises:
        ValueError: Unknown format or field; a field for 8 bits or fewer that is neither a mean nor
            a sum; or a state without a field to quantize.

    Reference: Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2021,
        https://arxiv.org/abs/2110.02861; Li, Chen and Zhu, Memory efficient optimizers with 4-bit
        states, 2023, https://arxiv.org/abs/2309.01507; Gonzalez Ortiz, Gupta, Renard and Blalock,
        FlashOptim: optimizers for memory efficient training, 2026, https://arxiv.org/abs/2602.23349
    """
    named = format if isinstance(format, Mapping) else None
    for one in [format] if named is None else named.values():
        check_format(one, "store")
    errors.check_counts("store", block=block)

    def pack(x: Any, to: str, square: bool) -> Any:
        if is_quantized(x) or not _is_real(x) or np.size(x) < min_size:
            return x
        return Quantized.of(x + _unknown_zero(x), to, square=square, block=block)

    def init(params):
        state = inner.init(params)
        found: dict[str, Role | None] = {}
        stored: list[str] = []

        def field(owner, name, role, value):
            found[name] = role
            if (kind := _kind(format, owner, name, role)) is None:
                return None
            stored.append(name)
            return jax.tree.map(lambda x: pack(x, *kind), value, is_leaf=is_quantized)

        packed = map_fields(field, state)
        for name in named or ():
            if name not in found:
                must = "a format must be for a field of the state"
                errors.fail("store", must, name, instead=errors.nearest(name, found))
        if not stored and named is None:
            _fail_with_nothing(name_of(inner), found, undeclared(state))
        return StoreState(zero_count(), packed)

    def carry(call: Any, updates: Any, state: Any, params: Any, extra: Any) -> tuple[Any, Any]:
        held, treedef = jax.tree.flatten(state.inner_state, is_leaf=is_quantized)
        blocks = [is_quantized(x) and x.scale is not None for x in held]

        def inside():
            out, after = call(inner, updates, _unpack(state.inner_state), params, extra)
            return out, treedef.flatten_up_to(after)

        if any(blocks):
            (out, after), twins = with_twins(inside, lambda made: [*compress(made[1], blocks)])
        else:
            (out, after), twins = inside(), []
        others, of_each = iter(twins), iter(words(state.step, sum(map(is_quantized, held))))
        packed = [
            old.requantize(new, next(of_each), next(others) if twin else None)
            if is_quantized(old)
            else new
            for old, new, twin in zip(held, after, blocks)
        ]
        return out, StoreState(increment(state.step), treedef.unflatten(packed))

    def update(updates, state, params=None, **extra):
        return carry(call_update, updates, state, params, extra)

    def step(updates, state, params, **extra):
        return carry(call_step, updates, state, params, extra)

    def evaluate(state, params):
        return call_evaluate(inner, _unpack(state.inner_state), params)

    return Rule(init, update, step, evaluate, children=(Child("inner", inner, at="inner_state"),))


def _kind(
    format: str | Mapping[str, str], owner: Any, field: str, role: Role | None
) -> tuple[str, bool] | None:
    """The format of a field, and whether it holds squares; None if it is not quantized."""
    _refuse_old(type(owner))
    if isinstance(format, str):
        return None if role is None or role.bits > 8 else (format, role.square)
    if field not in format:
        return None
    if format[field] != "bf16" and not (role is not None and role.moment):
        got = "no role" if role is None else f"the role {role.name!r}"
        must = f"{field!r} must be declared as a mean or a sum to be kept in 8 bits or fewer"
        hint = f'Annotate it, as in `{field}: MeanSquare`, or write {{"{field}": "bf16"}}.'
        errors.fail("store", must, f"{got} in {type(owner).__name__}", instead=hint)
    return format[field], role is not None and role.square


def _refuse_old(kind: type) -> None:
    for word in {"moments", "squares"} & set(vars(kind)) - set(kind._fields):
        must = "a state must declare its fields by annotations of gdjax.core.rule.roles"
        got = f"{word} = {getattr(kind, word)!r} in {kind.__name__}"
        role = "Mean" if word == "moments" else "MeanSquare"
        errors.fail("store", must, got, instead=f"Write {role} for the type of each of these.")


def _fail_with_nothing(
    inner: str, roles: Mapping[str, Role | None], without: Sequence[tuple[str, str]]
) -> NoReturn:
    """Raises with the fields that the state has, and what to write."""
    large = {name: role for name, role in roles.items() if role is not None and not role.small}
    kinds = dict.fromkeys(role.name for role in large.values())
    named = {kind: ", ".join(n for n, role in large.items() if role.name == kind) for kind in kinds}
    got = ", ".join(f"{names} ({kind})" for kind, names in named.items())
    two = ", ".join(f'"{name}": "bf16"' for name, role in large.items() if role.bits == 16)
    hint = f"Write store({inner}(...), {{{two}}}) to store these in bfloat16." if two else ""
    if without:
        kinds = dict.fromkeys(kind for kind, _ in without)
        named = {kind: ", ".join(n for k, n in without if k == kind) for kind in kinds}
        got = "no role of " + "; ".join(f"{names} of {kind}" for kind, names in named.items())
        hint = "Annotate them by gdjax.core.rule.roles, or name them for bf16."
    must = f"the state of {inner} must have a mean of gradients or of squares to quantize"
    errors.fail(
        "store", must, got or "nothing for each parameter", instead=hint or "Leave store out."
    )


def _unpack(state: Any) -> Any:
    one = lambda x: x.value() if isinstance(x, Quantized) else x
    return jax.tree.map(one, state, is_leaf=is_quantized)


def _unknown_zero(x: Any) -> jax.Array:
    """A zero that the compiler does not know: it would fold what is made of an array of zeros.

    That takes it minutes, entry by entry. A scalar, so nothing is kept.
    """
    return jax.lax.optimization_barrier(jnp.zeros([], x.dtype))


def _is_real(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
