"""Runs a program of JAX on exact numbers, primitive by primitive.

An array is a NumPy array of numbers of a field: `Symbols` or `Digits`. Integers and booleans are
those of Python. A literal is what is written: 0.1 is 1/10, and not the nearest binary number.
"""

from __future__ import annotations

__all__ = ["array", "exact", "exact_array", "run"]

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.proof.arrays import MOVES, SEVERAL, moved
from gdjax.proof.entrywise import ENTRYWISE, extreme, sign_of
from gdjax.proof.number import Unsupported
from gdjax.proof.rounding import rounded, toward_zero

_LARGEST_DENOMINATOR = 1_000_000
_CALLS = frozenset(
    """jit pjit closed_call core_call remat checkpoint custom_jvp_call custom_vjp_call
    custom_vjp_call_jaxpr custom_vmap_call custom_lin""".split()
)
_SAME = frozenset(
    """copy copy_p stop_gradient reduce_precision pvary pcast real optimization_barrier
    sharding_constraint device_put layout_constraint""".split()
)


def run(
    closed: Any, args: Sequence[Any], field: Any, given: Mapping[str, Callable[..., Any]] = {}
) -> list[Any]:
    """The results of a closed jaxpr, for arrays of numbers of the field.

    `given` has further primitives, or others in place of those here: functions of the field, the
    parameters of the equation and its arguments that return a list of arrays, or None.
    """
    interpreter = _Interpreter(field, {**SEVERAL, **given})
    consts = [exact_array(x, field) for x in closed.consts]
    return interpreter.run(closed.jaxpr, consts, [array(x) for x in args])


def array(x: Any) -> np.ndarray:
    """An array of Python objects, [] for a single one."""
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x
    out = np.empty((), object)
    out[()] = x
    return out


@functools.lru_cache(4096, typed=True)
def exact(x: Any) -> Any:
    """A float as the simplest fraction within rounding errors; inf and NaN as they are.

    So 0.1 is 1/10, and 1 − 0.9, which is 0.09999999999999998, is too. Powers of two, by which
    arrays are scaled, stay what they are.
    """
    if isinstance(x, (bool, np.bool_)):
        return bool(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    if not math.isfinite(x):
        return float(x)
    if abs(math.frexp(x)[0]) == 0.5:
        return Fraction(float(x))
    simple = Fraction(float(x)).limit_denominator(_LARGEST_DENOMINATOR)
    near = abs(float(simple) - float(x)) <= max(4 * np.spacing(abs(x)), 2**-52)
    return simple if near and simple else Fraction(str(x))


def exact_array(x: Any, field: Any) -> np.ndarray:
    """A concrete array as numbers of the field; integers and booleans as those of Python."""
    x = np.asarray(x)
    whole = x.dtype == bool or np.issubdtype(x.dtype, np.integer)
    entries = [exact(e) if whole else field.number(exact(e)) for e in x.ravel()]
    out = np.empty(x.size, object)
    out[:] = entries
    return out.reshape(x.shape)


class _Interpreter:
    def __init__(self, field: Any, given: Mapping[str, Callable[..., Any]]) -> None:
        self.field, self.given = field, given
        self.entrywise = {
            name: np.frompyfunc(functools.partial(f, field), n, 1)
            for name, (n, f) in ENTRYWISE.items()
        }

    def run(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = {}

        def read(var: Any) -> Any:
            return exact_array(var.val, self.field) if hasattr(var, "val") else known[var]

        known.update(zip(jaxpr.constvars, consts))
        known.update(zip(jaxpr.invars, args))
        for equation in jaxpr.eqns:
            values = [read(var) for var in equation.invars]
            known.update(zip(equation.outvars, map(array, self.apply(equation, values))))
        return [read(var) for var in jaxpr.outvars]

    def closed(self, closed: Any, values: Sequence[Any]) -> list[Any]:
        if hasattr(closed, "consts"):
            consts = [exact_array(x, self.field) for x in closed.consts]
            return self.run(closed.jaxpr, consts, values)
        return self.run(closed, [], values)

    def apply(self, equation: Any, values: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if (
            name in self.given
            and (out := self.given[name](self.field, params, *values)) is not None
        ):
            return out
        if name in MOVES:
            return moved(equation, values)
        if name in _SAME:
            return values
        if name in self.entrywise:
            return [self.entrywise[name](*values)]
        if name in _CALLS:
            inner = next(
                params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call") if key in params
            )
            return self.closed(inner, values)
        if name == "integer_pow":
            return [np.frompyfunc(lambda x: x ** params["y"], 1, 1)(*values)]
        if name in _OF_ARRAYS:
            return [_OF_ARRAYS[name](self.field, params, *values)]
        if name == "cond":
            index, *rest = values
            return self.closed(params["branches"][int(index[()])], rest)
        if name == "scan":
            return self.scan(params, values)
        if name == "while":
            return self.loop(params, values)
        if name == "platform_index":
            return [array(len(params["platforms"]) - 1)]
        raise Unsupported(f"the primitive {name}")

    def scan(self, params: Any, values: list[Any]) -> list[Any]:
        n, m = params["num_consts"], params["num_consts"] + params["num_carry"]
        consts, carry, stacks = values[:n], values[n:m], values[m:]
        steps, made = range(params["length"]), []
        for i in reversed(steps) if params["reverse"] else steps:
            out = self.closed(params["jaxpr"], [*consts, *carry, *(array(x[i]) for x in stacks)])
            carry = out[: m - n]
            made.append(out[m - n :])
        made = made[::-1] if params["reverse"] else made
        return [*carry, *(np.stack(parts) for parts in zip(*made))]

    def loop(self, params: Any, values: list[Any]) -> list[Any]:
        n = params["cond_nconsts"]
        m = n + params["body_nconsts"]
        carry = values[m:]
        while self.closed(params["cond_jaxpr"], [*values[:n], *carry])[0][()]:
            carry = self.closed(params["body_jaxpr"], [*values[n:m], *carry])
        return carry


def _of_arrays(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda field, params, *values: f(params, *values)


def _broadcast(params: Any, x: Any, *_: Any) -> Any:
    shape = [1] * len(params["shape"])
    for size, axis in zip(x.shape, params["broadcast_dimensions"]):
        shape[axis] = size
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _convert(field: Any, params: Any, x: Any) -> Any:
    dtype = np.dtype(params["new_dtype"])
    if np.issubdtype(dtype, np.bool_):
        return np.frompyfunc(lambda e: bool(sign_of(field, e)), 1, 1)(x)
    if np.issubdtype(dtype, np.integer):
        whole = lambda e: int(e) if isinstance(e, int) else toward_zero(field, e)
        return np.frompyfunc(whole, 1, 1)(x)
    return np.frompyfunc(lambda e: field.number(int(e)) if isinstance(e, int) else e, 1, 1)(x)


def _select(field: Any, params: Any, which: Any, *cases: Any) -> Any:
    return np.frompyfunc(lambda i, *values: values[int(i)], 1 + len(cases), 1)(which, *cases)


def _reduce(f: Callable[..., Any], empty: Any) -> Callable[..., Any]:
    def reduce(field: Any, params: Any, x: Any) -> Any:
        axes = tuple(params["axes"])
        moved = np.moveaxis(x, axes, range(len(axes)))
        flat = moved.reshape((-1, *moved.shape[len(axes) :]))
        step = np.frompyfunc(functools.partial(f, field), 2, 1)
        return functools.reduce(step, list(flat)) if len(flat) else empty(field)

    return reduce


def _dot(params: Any, x: Any, y: Any) -> Any:
    (of_x, of_y), (batch_x, batch_y) = params["dimension_numbers"]
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    names_x = [next(letters) for _ in x.shape]
    names_y = [next(letters) for _ in y.shape]
    for i, j in zip((*of_x, *batch_x), (*of_y, *batch_y)):
        names_y[j] = names_x[i]
    free_x = [c for i, c in enumerate(names_x) if i not in (*of_x, *batch_x)]
    free_y = [c for i, c in enumerate(names_y) if i not in (*of_y, *batch_y)]
    out = [*(names_x[i] for i in batch_x), *free_x, *free_y]
    return np.einsum(f"{''.join(names_x)},{''.join(names_y)}->{''.join(out)}", x, y)


def _slice(params: Any, x: Any) -> Any:
    strides = params["strides"] or [1] * x.ndim
    ends = zip(params["start_indices"], params["limit_indices"], strides)
    return x[tuple(slice(*end) for end in ends)]


def _iota(field: Any, params: Any) -> Any:
    shape, axis = params["shape"], params["dimension"]
    along = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return exact_array(np.broadcast_to(along, shape).astype(params["dtype"]), field)


_OF_ARRAYS: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _of_arrays(_broadcast),
    "reshape": _of_arrays(lambda params, x: x.reshape(params["new_sizes"])),
    "squeeze": _of_arrays(lambda params, x: np.squeeze(x, tuple(params["dimensions"]))),
    "transpose": _of_arrays(lambda params, x: np.transpose(x, params["permutation"])),
    "slice": _of_arrays(_slice),
    "concatenate": _of_arrays(lambda params, *x: np.concatenate(x, params["dimension"])),
    "stack": _of_arrays(lambda params, *x: np.stack(x, params["axis"])),
    "dot_general": _of_arrays(_dot),
    "iota": _iota,
    "convert_element_type": _convert,
    "select_n": _select,
    "round": rounded,
    "reduce_sum": _reduce(lambda field, x, y: x + y, lambda field: field.number(0)),
    "reduce_max": _reduce(lambda field, x, y: extreme(field, 1, x, y), lambda field: -math.inf),
    "reduce_min": _reduce(lambda field, x, y: extreme(field, -1, x, y), lambda field: math.inf),
    "reduce_and": _reduce(lambda field, x, y: x and y, lambda field: True),
    "reduce_or": _reduce(lambda field, x, y: x or y, lambda field: False),
}
