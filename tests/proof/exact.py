"""Functions of matrices on exact numbers: traced by JAX, run by `gdjax.proof.program`."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax
import numpy as np

from gdjax.core.rule.numerics import enable_x64
from gdjax.proof import program
from gdjax.proof.arrays import order
from gdjax.proof.number import Unsupported
from gdjax.proof.symbols import Symbols


class Exact:
    """Numbers with symbols, and runs of programs on arrays of them.

    Args:
        positive: Names of symbols above 0.
        others: Names of symbols that are not 0.
        signs: The signs of polynomials, in the case that is gone through.
        factors: A memory for all cases.
    """

    def __init__(
        self, positive: str = "", others: str = "", signs: Any = None, factors: Any = None
    ):
        self.field = Symbols(
            [], positive.split(), others.split(), signs or {}, {} if factors is None else factors
        )
        self.given: dict[str, Any] = {}  # further primitives
        self.bases: list[np.ndarray] = []

    def __getitem__(self, names: str) -> Any:
        """A symbol, or several."""
        found = [self.field.symbol[name] for name in names.split()]
        return found if len(found) > 1 else found[0]

    def array(self, rows: Any) -> np.ndarray:
        """Numbers, or names of symbols, as an array; names of one row as `a b c`."""
        rows = rows.split() if isinstance(rows, str) and " " in rows else rows
        one = lambda x: self[x] if isinstance(x, str) else self.field.number(x)
        return program.array(np.frompyfunc(one, 1, 1)(np.array(rows, object)))

    def one(self, side: int) -> np.ndarray:
        """The matrix I."""
        return self.array(np.eye(side, dtype=int))

    def diagonal(self, values: Any, shape: tuple[int, int]) -> np.ndarray:
        """A rectangular diagonal matrix."""
        out = self.array(np.zeros(shape, int))
        out[range(len(values)), range(len(values))] = self.array(list(values))
        return out

    def rotation(self, t: Any) -> np.ndarray:
        """Cayley's rotation of the plane, by 2·arctan t."""
        t = self.field.number(t)
        c, s = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        return self.array([[c, -s], [s, c]])

    def space_rotation(self, *ts: Any) -> np.ndarray:
        """A rotation of space: of each of its coordinate planes in turn."""
        out = self.one(3)
        for pair, t in zip(itertools.combinations(range(3), 2), ts):
            turn = self.one(3)
            turn[np.ix_(pair, pair)] = self.rotation(t)
            out = out @ turn
        return out

    def svd(self, u: np.ndarray, values: Any, v: np.ndarray) -> np.ndarray:
        """U·diag(values)·Vᵀ; U and V are known from then on, see `Decompositions`."""
        self.knows(u, v)
        return u @ self.diagonal(values, (len(u), len(v))) @ v.T

    def knows(self, *bases: np.ndarray) -> None:
        """Gives the programs orthogonal matrices for their decompositions."""
        self.bases += bases

    def run(self, function: Any, *args: Any) -> Any:
        """The result of a function of exact arrays; arrays of integers are as they are."""
        known = Decompositions(self.field, self.bases).primitives
        return run(function, args, self.field, {**known, **self.given})

    def numbered(self, tx: Any, **numbers: Any) -> Any:
        """A transformation with exact numbers, or symbols, as its hyperparameters."""
        tx = tx._with(tx.arguments)
        paths, structure = jax.tree_util.tree_flatten_with_path(tx)
        name = lambda path: str(getattr(path[-1], "key", getattr(path[-1], "name", path[-1])))
        leaves = [numbers.pop(name(path), program.exact(x)) for path, x in paths]
        assert not numbers, f"{tx} has no number {', '.join(numbers)}"
        return structure.unflatten([self.array(x) for x in leaves])

    def start(self, tx: Any, params: Any) -> Any:
        """The first state."""
        return self.run(_init, tx, params)

    def step(self, tx: Any, g: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        """The updates and the state of one step."""
        return self.run(_update, tx, g, state, params, extra)

    def updates(self, tx: Any, gradients: Any, params: Any = None) -> list[Any]:
        """The updates of several steps from the first state, with fixed parameters."""
        params = gradients[0] if params is None else params
        state, found = self.start(tx, params), []
        for g in gradients:
            u, state = self.step(tx, g, state, params)
            found.append(u)
        return found


def _init(tx: Any, params: Any) -> Any:
    return tx.init(params)


def _update(tx: Any, g: Any, state: Any, params: Any, extra: Any) -> Any:
    return tx.update(g, state, params, **extra)


@functools.cache
def traced(function: Any, structure: Any, shapes: tuple[tuple[Any, Any], ...]) -> tuple[Any, Any]:
    """The jaxpr of a function of a tree, and the shapes of its results."""
    flat = lambda *xs: function(*structure.unflatten(xs))
    like = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    return jax.make_jaxpr(flat, return_shape=True)(*like)


def run(function: Any, args: Any, field: Any, given: Any) -> Any:
    """`Exact.run`, for any field and with primitives that are given."""
    leaves, structure = jax.tree.flatten(args)
    leaves = [x if hasattr(x, "dtype") else program.array(x) for x in leaves]
    exact = [x.dtype == object for x in leaves]
    shapes = tuple((x.shape, np.float64 if e else x.dtype) for x, e in zip(leaves, exact))
    with enable_x64(True):
        closed, shape = traced(function, structure, shapes)
        values = [x if e else program.exact_array(x, field) for x, e in zip(leaves, exact)]
        results = program.run(closed, values, field, given)
    wanted, tree = jax.tree.flatten(shape)
    keep = lambda x, like: x if np.issubdtype(like.dtype, np.inexact) else x.astype(like.dtype)
    return tree.unflatten([keep(x, like) for x, like in zip(results, wanted)])


def equal(got: Any, want: Any) -> bool:
    """Whether two arrays have the same shape and the same entries, for all values of symbols."""
    got, want = np.array(got, object), np.array(want, object)
    if got.shape != want.shape:
        return False
    zero = lambda d: d.field.is_zero(d) if hasattr(d, "field") else d == 0
    return all(zero(x - y) for x, y in zip(got.ravel(), want.ravel()))


class Decompositions:
    """eigh, svd and qr of matrices whose singular vectors are columns of known matrices.

    An answer is given only if it is one: vectors are orthonormal, and what should be diagonal is.
    """

    def __init__(self, field: Symbols, bases: list[np.ndarray]) -> None:
        self.field, self.bases = field, bases
        self.primitives = {
            "eigh": lambda field, params, a: _each(a, self.eigh),
            "svd": lambda field, params, a: _each(a, self.svd),
            "qr": lambda field, params, a: _each(a, self.qr),
        }

    def _of(self, side: int) -> list[np.ndarray]:
        unit = np.eye(side, dtype=int)
        return [q for q in self.bases if len(q) == side and equal(q.T @ q, unit)]

    def _is_diagonal(self, a: np.ndarray) -> bool:
        return all(i == j or self.field.is_zero(x) for (i, j), x in np.ndenumerate(a))

    def eigh(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        """Eigenvectors and eigenvalues, the least first."""
        for q in self._of(len(a)):
            turned = q.T @ a @ q
            if self._is_diagonal(turned):
                values = np.diagonal(turned)
                places = order(self.field, values)
                return q[:, places], values[places]
        raise Unsupported("the eigenvectors of a matrix are not known")

    def svd(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        """The singular values, the largest first, the left and the right vectors."""
        for u, v in itertools.product(*map(self._of, a.shape)):
            turned = u.T @ a @ v
            if self._is_diagonal(turned):
                values = np.diagonal(turned)
                signs = [self.field.sign(x) or 1 for x in values]
                places = order(self.field, -values * signs)
                right = v[:, : len(values)] * signs
                return (values * signs)[places], u[:, places], right[:, places].T
        raise Unsupported("the singular vectors of a matrix are not known")

    def qr(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Q and R of a matrix of full rank, R with a positive diagonal, by Gram and Schmidt."""
        q = a.copy()
        for j in range(a.shape[1]):
            for i in range(j):
                q[:, j] = q[:, j] - q[:, i] * (q[:, i] @ a[:, j])
            q[:, j] = q[:, j] / self.field.root(q[:, j] @ q[:, j])
        return q, q.T @ a


def _each(stack: np.ndarray, one: Any) -> list[np.ndarray]:
    """A decomposition of every matrix of a stack."""
    lead = stack.shape[:-2]
    parts = [one(stack[index]) for index in np.ndindex(lead)]
    return [np.stack(xs).reshape(*lead, *xs[0].shape) for xs in zip(*parts)]
