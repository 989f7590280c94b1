"""Recomputation: some results of a function, computed a second time from its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

# Operations that are cheaper to repeat than to store: elementwise, without moving entries.
_ARITHMETIC = frozenset(
    """abs add and bitcast_convert_type broadcast_in_dim cbrt clamp clz convert_element_type copy
    div eq exp exp2 expand_dims expm1 floor ceil ge gt integer_pow iota is_finite le log log1p
    logistic lt max min mul ne neg not optimization_barrier or pow reshape round rsqrt select_n
    shift_left shift_right_arithmetic shift_right_logical sign slice sqrt square squeeze
    stop_gradient sub tanh xor""".split()
)
_LARGE = 1024  # entries: smaller arrays are stored


def with_twins(make: Callable[[], Any], which: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The result of `make()`, and some of its arrays computed again, by elementwise operations.

    Where two kernels need an array, XLA on a GPU stores it between them, though it may be cheaper
    to compute it twice. A twin is the same array, computed from the same inputs behind barriers, so
    that XLA does not merge the two. Its inputs are the results of sums and matrix products.

    Args:
        make: A function.
        which: A function of the result of `make` that returns the arrays as a list.
    """
    program, shapes = jax.make_jaxpr(make, return_shape=True)()
    body, tree = program.jaxpr, jax.tree.structure(shapes)
    wanted = which(tree.unflatten(body.outvars))
    again, edges = _again(body, wanted)
    longer = program.replace(
        jaxpr=body.replace(outvars=[*body.outvars, *edges]), consts=program.consts
    )
    values = jaxpr_as_fun(longer)()
    made, read = tree.unflatten(values[: len(body.outvars)]), values[len(body.outvars) :]
    parts = {"constvars": [], "invars": edges, "outvars": wanted, "eqns": again}
    twice = program.replace(jaxpr=body.replace(**parts), consts=[])
    return made, jaxpr_as_fun(twice)(*map(_apart, read))


def _again(body: Any, wanted: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The equations that compute variables again, and their input variables."""
    named = lambda found: {var: None for var in found if not hasattr(var, "val")}  # no literals
    needed, again, made = named(wanted), [], set()
    for equation in reversed(body.eqns):
        if any(var in needed for var in equation.outvars) and _is_cheap(equation):
            again.append(equation)
            needed |= named(equation.invars)
            made |= set(equation.outvars)
    return again[::-1], [var for var in needed if var not in made]


def _is_cheap(equation: Any) -> bool:
    """Whether it is elementwise arithmetic on large arrays."""
    large = any(np.prod(var.aval.shape) >= _LARGE for var in equation.outvars)
    return large and _is_arithmetic(equation)


def _is_arithmetic(equation: Any) -> bool:
    if equation.primitive.name in ("jit", "pjit"):
        return all(_is_arithmetic(inside) for inside in equation.params["jaxpr"].eqns)
    return equation.primitive.name in _ARITHMETIC


def _apart(x: Any) -> Any:
    return jax.lax.optimization_barrier(x) if np.size(x) >= _LARGE else x
