"""The namespace `optax.microbatching`: a function of a batch, evaluated part by part."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.rule import errors, numerics

__all__ = [
    "AccumulationType",
    "Accumulator",
    "micro_grad",
    "micro_vmap",
    "microbatch",
    "reshape_batch_axis",
]


class AccumulationType(enum.Enum):
    """How results of microbatches become one."""

    MEAN = enum.auto()
    SUM = enum.auto()
    RUNNING_MEAN = enum.auto()
    CONCAT = enum.auto()


@dataclasses.dataclass(frozen=True)
class Accumulator:
    """What is done with the results x₀, x₁, … of microbatches.

    The result is `finalize(carry)`, where `carry` starts as `init(shape_dtype_of_x)` and becomes
    `update(carry, xᵢ, i)`. `aggregate` makes one value of those of the examples of a microbatch.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, int], Any]
    finalize: Callable[[Any], Any]
    aggregate: Callable[[Any], Any]


def _made(kind: AccumulationType, number: int) -> Accumulator:
    """The accumulator of an array over `number` microbatches."""
    if kind is AccumulationType.CONCAT:
        return Accumulator(
            lambda x: jnp.zeros((number, *x.shape), x.dtype),
            lambda carry, x, i: carry.at[i].set(x),
            _joined,
            lambda x: x,
        )
    mean = kind is not AccumulationType.SUM

    def init(x):
        if mean and not jnp.issubdtype(x.dtype, jnp.inexact):
            errors.fail("microbatch", "a mean needs floating-point values", x.dtype.name)
        wide = numerics.wide_dtype(x.dtype)
        return jnp.zeros(x.shape, wide), jnp.zeros([], jnp.int32), jnp.zeros([0], x.dtype)

    def update(carry, x, i):
        total, count, kind = carry
        return total + x.astype(total.dtype), count + 1, kind

    def finalize(carry):
        total, count, kind = carry
        total = total / jnp.maximum(count, 1).astype(total.dtype) if mean else total
        return total.astype(kind.dtype)

    def aggregate(x):
        return jnp.mean(x, axis=0) if mean else jnp.sum(x, axis=0)

    return Accumulator(init, update, finalize, aggregate)


def _joined(parts: jax.Array) -> jax.Array:
    """Results of microbatches, [number, size, ...], in the order of the examples."""
    if parts.ndim == 1:
        return parts
    return jnp.swapaxes(parts, 0, 1).reshape(-1, *parts.shape[2:])


def _is_kind(x: Any) -> bool:
    return isinstance(x, AccumulationType | Accumulator)


def _spread(accumulator: Any, like: Any, number: int) -> list[Accumulator]:
    """One accumulator for each leaf; the tree that is given may end above the leaves."""
    spread = jax.tree.map(
        lambda kind, part: [kind] * len(jax.tree.leaves(part)), accumulator, like, is_leaf=_is_kind
    )
    kinds = jax.tree.leaves(spread, is_leaf=_is_kind)
    return [_made(k, number) if isinstance(k, AccumulationType) else k for k in kinds]


def reshape_batch_axis(tree: Any, microbatch_size: int, axis: int = 0) -> Any:
    """Splits an axis of examples into two, [number of microbatches, microbatch_size].

    Microbatch i has the examples i, i + number, i + 2·number, …, so that devices that share the
    examples share each microbatch.

    >>> import jax.numpy as jnp
    >>> reshape_batch_axis(jnp.arange(6), 2)
    Array([[0, 3],
           [1, 4],
           [2, 5]], dtype=int32)

    Raises:
        ValueError: `microbatch_size` does not divide the number of examples.
    """

    def one(x):
        number, rest = divmod(x.shape[axis], microbatch_size)
        if rest:
            must = f"microbatch_size must divide the number of examples, {x.shape[axis]}"
            errors.fail("reshape_batch_axis", must, microbatch_size)
        at = axis % x.ndim
        x = x.reshape(*x.shape[:at], microbatch_size, number, *x.shape[at + 1 :])
        return jnp.swapaxes(x, at, at + 1)

    return jax.tree.map(one, tree)


def microbatch(
    fun: Callable[..., Any],
    argnums: int | Sequence[int],
    microbatch_size: int | None,
    accumulator: Any = AccumulationType.SUM,
    *,
    argnames: str | Sequence[str] = (),
    in_axes: int | Sequence[int] = 0,
    num_real_microbatches: Any = None,
) -> Callable[..., Any]:
    """Evaluates a function on parts of a batch, one after another, in the memory of one.

    >>> import jax.numpy as jnp
    >>> kinds = AccumulationType.CONCAT, AccumulationType.SUM
    >>> parts = microbatch(lambda x: (x + 1, jnp.sum(3 * x)), 0, 2, kinds)
    >>> parts(jnp.array([1, 2, 3, 4]))
    (Array([2, 3, 4, 5], dtype=int32), Array(30, dtype=int32))

    Args:
        fun: A function of arrays with an axis of examples.
        argnums: Which arguments have it.
        microbatch_size: Examples in a part; must divide their number. None: all of them.
        accumulator: How results are put together: one `AccumulationType` or `Accumulator`, or a
            tree of them like the results.
        argnames: Which keyword arguments have it.
        in_axes: Which axis it is, for all or for each of them.
        num_real_microbatches: How many parts to evaluate; means are of those.

    Raises:
        ValueError: A size does not divide, or a mean is asked of integers.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    names = (argnames,) if isinstance(argnames, str) else tuple(argnames)
    count = len(numbers) + len(names)
    axes = (in_axes,) * count if isinstance(in_axes, int) else tuple(in_axes)

    def part_by_part(*args: Any, **kwargs: Any) -> Any:
        if microbatch_size is None:
            return fun(*args, **kwargs)
        given = [args[i] for i in numbers] + [kwargs[name] for name in names]
        split = [  # [number, ...], the axis of examples where it was
            jax.tree.map(
                lambda x, at=at: jnp.moveaxis(
                    reshape_batch_axis(jnp.asarray(x), microbatch_size, at), at % jnp.ndim(x), 0
                ),
                tree,
            )
            for tree, at in zip(given, axes)
        ]
        number = jax.tree.leaves(split)[0].shape[0]

        def call(parts):
            placed = list(args)
            for i, part in zip(numbers, parts):
                placed[i] = part
            return fun(*placed, **{**kwargs, **dict(zip(names, parts[len(numbers) :]))})

        first = jax.tree.map(lambda x: x[0], split)
        out = jax.eval_shape(call, first)
        shapes, treedef = jax.tree.flatten(out)
        made = _spread(accumulator, out, number)
        carry = [a.init(shape) for a, shape in zip(made, shapes)]

        def evaluate(carry, i, parts):
            values = jax.tree.leaves(call(parts))
            return [a.update(c, x, i) for a, c, x in zip(made, carry, values)]

        def step(carry, inputs):
            i, parts = inputs
            if num_real_microbatches is None:
                return evaluate(carry, i, parts), None
            real = i < num_real_microbatches
            return jax.lax.cond(real, lambda c: evaluate(c, i, parts), lambda c: c, carry), None

        carry, _ = jax.lax.scan(step, carry, (jnp.arange(number), split))
        return treedef.unflatten([a.finalize(c) for a, c in zip(made, carry)])

    return part_by_part


def micro_vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: int = 0,
    *,
    microbatch_size: int | None = None,
    vmap_fn: Callable[..., Any] = jax.vmap,
    accumulator: Any = AccumulationType.CONCAT,
    num_real_microbatches: Any = None,
) -> Callable[..., Any]:
    """Maps a function over a batch as `jax.vmap` does, part by part.

    >>> import jax.numpy as jnp
    >>> micro_vmap(lambda x: x**2, microbatch_size=4)(jnp.arange(8))
    Array([ 0,  1,  4,  9, 16, 25, 36, 49], dtype=int32)

    Args:
        fun: A function of one example.
        in_axes: As in `jax.vmap`: a number or None, for all arguments or for each.
        out_axes: 0.
        microbatch_size: Examples in a part; all by default.
        vmap_fn: What takes the place of `jax.vmap`.
        accumulator: As in `microbatch`; sums and means are over the examples.
        num_real_microbatches: How many parts to evaluate.

    Raises:
        ValueError: `out_axes` is not 0.
    """
    if out_axes != 0:
        errors.fail("micro_vmap", "out_axes must be 0", out_axes)

    def mapped(*args: Any, **kwargs: Any) -> Any:
        axes = (in_axes,) * len(args) if in_axes is None or isinstance(in_axes, int) else in_axes
        batched = [(i, at) for i, at in enumerate(axes) if at is not None]

        def whole(*args: Any, **kwargs: Any) -> Any:
            out = vmap_fn(fun, in_axes=tuple(axes), out_axes=0)(*args, **kwargs)
            leaves, treedef = jax.tree.flatten(out)
            made = _spread(accumulator, out, 1)
            return treedef.unflatten([a.aggregate(x) for a, x in zip(made, leaves)])

        run = microbatch(
            whole,
            tuple(i for i, _ in batched),
            microbatch_size,
            accumulator,
            argnames=tuple(kwargs),
            in_axes=(*(at for _, at in batched), *(0 for _ in kwargs)),
            num_real_microbatches=num_real_microbatches,
        )
        return run(*args, **kwargs)

    return mapped


class _Aux(NamedTuple):
    """What `micro_grad` returns beside gradients, for each example."""

    values: Any
    metrics: Any
    aux: Any


def micro_grad(
    fun: Callable[..., Any],
    has_aux: bool = False,
    argnums: int | Sequence[int] = 0,
    *,
    batch_argnums: int | Sequence[int] = 1,
    keep_batch_dim: bool = True,
    microbatch_size: int | None = None,
    accumulator: Any = AccumulationType.SUM,
    transform_fn: Callable[[Any], Any] = lambda grads: grads,
    metrics_fn: Callable[[Any], Any] = lambda grads: None,
    num_real_microbatches: Any = None,
) -> Callable[..., Any]:
    """Takes the gradient for each example, transforms it, and adds up, part by part.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x, y: 0.5 * jnp.mean((x @ w - y) ** 2)
    >>> moments = micro_grad(loss, batch_argnums=(1, 2), transform_fn=lambda g: (g, g**2))
    >>> grads, aux = moments(jnp.zeros(1), jnp.ones((4, 1)), jnp.array([0.0, 2.0, 4.0, 6.0]))
    >>> grads
    (Array([-12.], dtype=float32), Array([56.], dtype=float32))
    >>> aux.values
    Array([ 0.,  2.,  8., 18.], dtype=float32)

    Args:
        fun: A function that returns a scalar, and something else with `has_aux`.
        has_aux: Whether it does.
        argnums: By which arguments to differentiate.
        batch_argnums: Which arguments have an axis of examples, the first.
        keep_batch_dim: Whether `fun` is given batches of one example, or an example.
        microbatch_size: Examples in a part; all by default.
        accumulator: How transformed gradients are put together.
        transform_fn: A function of the gradient for an example.
        metrics_fn: A function of the gradient for an example, whose values are kept for each.
        num_real_microbatches: How many parts to evaluate.

    Returns:
        A function that returns the gradients and `(values, metrics, aux)` of the examples.
    """
    batched = (batch_argnums,) if isinstance(batch_argnums, int) else tuple(batch_argnums)

    def one(*args: Any) -> Any:
        if keep_batch_dim:
            add = lambda tree: jax.tree.map(lambda x: jnp.asarray(x)[None], tree)
            args = tuple(add(x) if i in batched else x for i, x in enumerate(args))
        value, grads = jax.value_and_grad(fun, argnums, has_aux=has_aux)(*args)
        value, aux = value if has_aux else (value, None)
        return transform_fn(grads), _Aux(value, metrics_fn(grads), aux)

    def gradients(*args: Any) -> Any:
        return micro_vmap(
            one,
            tuple(0 if i in batched else None for i in range(len(args))),
            microbatch_size=microbatch_size,
            accumulator=(accumulator, AccumulationType.CONCAT),
            num_real_microbatches=num_real_microbatches,
        )(*args)

    return gradients
