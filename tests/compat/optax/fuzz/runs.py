"""Runs one call in both libraries and compares what comes out."""

from __future__ import annotations

import functools
import re
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gdjax.compat import optax as compat
from tests.compat.optax.fuzz import data
from tests.compat.optax.fuzz.compare import Found, compare
from tests.compat.optax.fuzz.factories import LANES, Call, kind_of

__all__ = ["compiled", "difference", "inputs", "scope"]

# Errors of a number that is traced where it must be known.
TRACED = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
# Where less than float64 is left of a result, in optax or here.
PRECISION = {
    # computed in float32 by optax whatever the parameters are, or to be kept in it
    "_schedule|exponential_decay|warmup|float32": 2.0**-23,
    "adafactor|factored_rms|madgrad|distance_over|MultiSteps": 2.0**-23,
    # singular vectors from the square of the matrix
    "galore": 2.0**-23,
    # a difference of large numbers in optax, which `radam` avoids here
    "radam": 1e-12,
    # a small difference of terms of size 1
    "ntxent": 1e-12,
}
# Rules whose updates lead to another point, and are its difference from the parameters.
OF_PARAMS = "lookahead|schedule_free|mechanize|madgrad|cocob|nonnegative|sam\\("
NEEDS = {
    r"o\.lbfgs\((?!.*linesearch=None)|_linesearch\(": ("value", "grad", "value_fn"),
    "polyak|momo|plateau": ("value",),
    "sophia|hutchinson": ("obj_fn",),
    r"opaque_mode=True": ("grad_fn",),
}


def scope(o: Any, tree: str = "array", **more: Any) -> dict[str, Any]:
    """The names that stand in the text of a call."""
    named = {"o": o, "jax": jax, "jnp": jnp, "MASK": data.mask(tree), "LABELS": data.labels(tree)}
    return {**named, **more}


class Inputs(NamedTuple):
    """What both libraries get: arrays of a function, or parameters and gradients."""

    numbers: tuple
    given: Any


def inputs(call: Call) -> Inputs:
    """The inputs of a call, made of its name and its seed."""
    rng = np.random.default_rng([call.seed, zlib.crc32(call.name.encode())])
    kind = kind_of(call.name)
    if kind == "function":
        return Inputs(call.numbers, data.arrays(rng))
    if kind == "schedule":
        return Inputs(call.numbers, np.arange(40, dtype=np.int32))
    params = data.parameters(call.tree, rng)
    batch = (2,) if re.search("dpsgd|differentially", call.text) else ()
    dense = "galore" in call.text  # the vectors of a singular matrix are any
    grads = data.gradients(call.tree, rng, call.bad, batch, dense)
    exact = jax.tree.map(lambda x: np.ones((data.STEPS, *np.shape(x))), params)
    return Inputs(call.numbers, (params, grads, rng.uniform(0.5, 2.0, data.STEPS), exact))


def _extras(text: str, params: Any, value: Any) -> dict[str, Any]:
    wanted = {name for part, names in NEEDS.items() if re.search(part, text) for name in names}
    at = params.fast if hasattr(params, "fast") else params
    have = {
        "value": data.value_fn(at) if "value_fn" in wanted else value,
        "grad": jax.grad(data.value_fn)(at),
        "value_fn": data.value_fn,
        "obj_fn": data.value_fn,
        "grad_fn": lambda p, i: jax.grad(data.value_fn)(p),
    }
    return {name: have[name] for name in wanted}


def trajectory(tx: Any, o: Any, text: str, params: Any, grads: Any, values: Any, error: Any) -> Any:
    """Updates and parameters of each step, and the last state.

    `error` is one; another factor of the parameters at each step stands for their rounding.
    """
    tx = o.with_extra_args_support(tx)
    if "lookahead" in text:
        params = o.LookaheadParams.init_synced(params)

    def step(carry, given):
        (params, state), (g, value, factor) = carry, given
        extra = _extras(text, params, value)
        g = extra.get("grad", g) if "value_fn" in extra else g
        updates, state = tx.update(g, state, params, **extra)
        params = o.apply_updates(params, updates)
        if "lookahead" not in text:
            params = jax.tree.map(jnp.multiply, params, factor)
        return (params, state), (updates, params)

    carry = params, tx.init(params)
    try:
        carry, out = jax.lax.scan(step, carry, (grads, values, error))
    except TypeError:
        if o is compat:
            raise
        out = []  # a state that changes its dtype on its way
        for i in range(data.STEPS):
            carry, row = step(carry, jax.tree.map(lambda x, i=i: x[i], (grads, values, error)))
            out.append(row)
        out = jax.tree.map(lambda *xs: jnp.stack(xs), *out)
    state = carry[1]
    result = {"updates": out[0], "parameters": out[1], "state": state}
    if text.startswith("o.contrib.schedule_free"):
        result["evaluated"] = o.contrib.schedule_free_eval_params(state, carry[0])
    return result


def _function(call: Call, o: Any, numbers: Any, arrays: Any) -> Any:
    """Numbers of a function, and for losses and projections their derivative along X."""

    def at(x):
        return eval(call.text, scope(o, N=numbers, **{**arrays, "X": x}))

    out = {"value": at(arrays["X"])}
    if call.name.startswith(("losses.", "projections.")):
        total = lambda x: sum(jnp.sum(leaf) for leaf in jax.tree.leaves(at(x)))
        out["derivative"] = jax.grad(total)(arrays["X"])
    return out


def evaluate(call: Call, o: Any, numbers: Any, given: Any) -> Any:
    """What comes of a call in the namespace `o`."""
    kind = kind_of(call.name)
    if kind == "function":
        return _function(call, o, numbers, given)
    made = eval(call.text, scope(o, call.tree, N=numbers))
    if kind == "schedule":
        return {"value": jax.vmap(lambda t: jnp.asarray(made(t), float))(given)}
    return trajectory(made, o, call.text, *given)


@functools.lru_cache(8)
def compiled(name: str, text: str, tree: str, library: str, known: tuple | None) -> Any:
    """The compiled function of numbers and inputs; of inputs alone where the numbers are known."""
    call, o = Call(name, 0, text, (), tree, False), {"optax": optax, "compat": compat}[library]

    @jax.jit
    def run(numbers, given):
        return evaluate(call, o, numbers if known is None else known, given)

    return run


def _outcome(call: Call, library: str, given: Inputs, known: bool) -> Any:
    """What a library makes of a call, or the error that it raises."""
    numbers = call.numbers if known else None
    run = compiled(call.name, call.text, call.tree, library, numbers)
    try:
        return jax.tree.map(_host, run(given.numbers, given.given))
    except Exception as error:
        if isinstance(error, TRACED) and not known:
            raise
        return error


def _host(x: Any) -> Any:
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x)


def difference(call: Call) -> Found:
    """Compares the two libraries in one call.

    The first of `LANES` calls of one structure has its numbers in the program, as Python floats;
    the others pass them as arguments, where optax can.
    """
    given, known = inputs(call), call.seed % LANES == 0
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        try:
            theirs = _outcome(call, "optax", given, known)
        except TRACED:
            known = True
            theirs = _outcome(call, "optax", given, known)
        ours = _outcome(call, "compat", given, known)

        def again(i):
            shaken = _shaken(given, i, max(4e-16, precision(call.text)))
            try:
                return _outcome(call, "optax", shaken, False)
            except TRACED:
                return _outcome(call, "optax", shaken, True)

        of_params = re.search(OF_PARAMS, call.text) is not None
        return compare(ours, theirs, again, precision(call.text), of_params)


def precision(text: str) -> float:
    """The precision of what comes of a call; 0 for that of float64."""
    return max([0.0, *(epsilon for part, epsilon in PRECISION.items() if re.search(part, text))])


def _shaken(given: Inputs, seed: int, size: float) -> Inputs:
    """The inputs with an error in the last bits, to see what a call makes of such errors."""
    rng = np.random.default_rng(seed)

    def shake(x):
        if np.asarray(x).dtype.kind != "f":
            return x
        return x * (1.0 + size * rng.choice([-1.0, 1.0], np.shape(x)))

    return Inputs(tuple(float(shake(x)) for x in given.numbers), jax.tree.map(shake, given.given))
