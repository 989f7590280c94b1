"""Independent references: recorded trajectories of other packages, and NumPy transcriptions.

The tests of a source file, `tests/<folder>/test_<file>.py`, have in `AGREE` what its
transformations agree with, on the problem of `tests/oracles/problem.py`. A part that only adds,
drops, passes or holds has nothing for a paper to say: its name stands in `PLAIN` of that file.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests import cases
from tests.oracles import problem

RECORDED = pathlib.Path(__file__).parent / "oracles" / "recorded"


class Agree(NamedTuple):
    """A transformation, and an independent reference for its path on the problem."""

    tx: Any
    reference: Callable[[], np.ndarray]  # gives [61, 8], the start included
    tolerance: float = 1e-10  # more only where the reference computes in float32: say why
    extra: Callable[..., dict[str, Any]] | None = None  # (params, grads, t) -> extra arguments
    evaluate: bool = False  # whether the path is the one of the evaluation points
    gradients: Callable[..., Any] | None = None  # (grads, t) -> what is given in their place


def rule(function: Callable[..., np.ndarray], **arguments: Any) -> Callable[[], np.ndarray]:
    """A NumPy transcription, run on the problem."""
    return functools.partial(
        function, problem.gradient, problem.start(), problem.STEPS, **arguments
    )


@functools.cache
def recordings(file: str) -> Any:
    """The arrays of `oracles/recorded/<file>.npz`, made by `oracles/record_<file>.py`."""
    return np.load(RECORDED / f"{file}.npz")


USED: set[tuple[str, str]] = set()


def recorded(file: str, key: str) -> Callable[[], np.ndarray]:
    """A recorded trajectory; that it is used is noted."""
    USED.add((file, key))
    return functools.partial(_read, file, key)


def _read(file: str, key: str) -> np.ndarray:
    return recordings(file)[key]


@functools.cache
def agreements() -> dict[str, Agree]:
    """All references, by the name of the file and their own."""
    return {f"{file}-{key}": e for file, found in cases.gather("AGREE") for key, e in found.items()}


@functools.cache
def agreed() -> frozenset[str]:
    """The factories that a reference speaks of: those that agree, and all that is inside them."""
    return frozenset(name for entry in agreements().values() for name in parts(entry.tx))


def missing_references(factories: dict[str, str]) -> list[str]:
    """What to write where: for each factory that no reference speaks of.

    Those of `gdjax.optimizers` must have one; others may stand in `PLAIN` of their tests.
    """
    plain = {name for _, found in cases.gather("PLAIN") for name in found}
    of_optimizers = lambda module: module.startswith("gdjax.optimizers.")
    return [
        f"add an entry for '{name}' to AGREE in {cases.test_file(module)}"
        for name, module in factories.items()
        if name not in agreed() and (of_optimizers(module) or name not in plain)
    ]


def parts(tx: Any) -> Iterator[str]:
    """The names of a transformation and of all that it is made of."""
    yield tx.name
    inside = jax.tree.leaves(tx.given, is_leaf=_is_ours)
    for part in filter(_is_ours, [*inside, tx.example()]):
        yield from parts(part)


def _is_ours(x: Any) -> bool:
    return isinstance(x, gd.GradientTransformation)


# What the entries of `AGREE` are written with.


def real(t: Any) -> Any:
    """The step as a floating-point number, for schedules written in tests."""
    return t.astype(float) if isinstance(t, jax.Array) else t


def halving(first: float) -> Callable[[Any], Any]:
    """A rate that is halved every 20 steps; of NumPy's steps and of JAX's."""
    return lambda t: first * 0.5 ** (real(t) / 20)


def falling(t: Any) -> Any:
    """A rate that falls by 4 % a step."""
    return 0.05 * 0.96 ** real(t)


# Each number is far enough from its default, and eps large enough, to be seen in the paths.
BETAS: dict[str, Any] = {"b1": 0.8, "b2": 0.95, "eps": 1e-2}
ROOT = BETAS | {"eps_root": 1e-3}


def descent(*parts: Any, eta: Any = 0.3) -> Any:
    """Transformations, and a step down along what they give."""
    return gd.chain(*parts, gd.scale_by_learning_rate(eta))


def split(flat: Any) -> dict[str, Any]:
    """The flat vector as the tree of parameters, in JAX."""
    return {"w": flat[:6].reshape(problem.SHAPES["w"]), "b": flat[6:]}


def join(tree: Any) -> Any:
    """The tree of parameters as a flat vector, in JAX."""
    return jnp.concatenate([jnp.ravel(tree["w"]), tree["b"]])


def gradient(params: Any, t: Any) -> Any:
    """The gradient of the problem at step t."""
    noise = 0.1 * jnp.asarray(problem.NOISE)[t]
    return split(jnp.asarray(problem.H) @ join(params) - problem.C + noise)


def loss(params: Any, t: Any) -> Any:
    """The loss of the problem at step t, whose derivative is `gradient`."""
    theta = join(params)
    linear = jnp.asarray(problem.C) - 0.1 * jnp.asarray(problem.NOISE)[t]
    return 0.5 * theta @ (jnp.asarray(problem.H) @ theta) - linear @ theta


def value(params: Any, grads: Any, t: Any) -> dict[str, Any]:
    """The extra argument of what looks at the loss."""
    return {"value": loss(params, t)}


def both(label: str, tx: Any, reference: Callable[[bool], Any]) -> dict[str, Agree]:
    """An entry for the points trained and one for the points to evaluate at."""
    return {
        label: Agree(tx, reference(False), 1e-12),
        f"{label}-answer": Agree(tx, reference(True), 1e-12, evaluate=True),
    }


def of_paper(function: Callable[..., np.ndarray], **arguments: Any) -> Callable[[bool], Any]:
    """The reference of `both` by a transcription with an argument `answer`."""
    return lambda answer: rule(function, answer=answer, **arguments)


def path_of(
    tx: Any,
    extra: Any = None,
    evaluate: bool = False,
    gradients: Any = None,
    start: int = 0,
    carry: tuple[Any, Any] | None = None,
) -> np.ndarray:
    """The path of a transformation on the problem, [61 − start, 8], params a tree of two leaves.

    `carry` are parameters and state to go on from.
    """

    def body(carry, t):
        params, state = carry
        grads = gradient(params, t)
        more = extra(params, grads, t) if extra else {}
        given = gradients(grads, t) if gradients else grads
        params, state = tx.step(given, state, params, **more)
        seen = gd.state.eval_params(tx, state, params) if evaluate else params
        return (params, state), join(seen)

    if carry is None:
        params = split(jnp.asarray(problem.start(), jnp.float64))
        carry = params, tx.init(params)
    steps = jnp.arange(start, problem.STEPS)
    _, path = jax.jit(lambda carry: jax.lax.scan(body, carry, steps))(carry)
    return np.concatenate([np.asarray(join(carry[0]))[None], np.asarray(path)])
