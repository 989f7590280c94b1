"""Coefficients of Newton-Schulz iterations for polar factors: polynomials of singular values."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors

Triple = tuple[float, float, float]
STANDARD: Triple = (3.4445, -4.7750, 2.0315)
# From modded-nanogpt, found by a search for five steps.
SEARCHED: tuple[Triple, ...] = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
CLASSICAL: Triple = (1.875, -1.25, 0.375)  # p(1) = 1, p′(1) = p″(1) = 0
POLISH: Triple = (2.0, -1.5, 0.5)  # p(1) = 1, p′(1) = 0, p′(0) = 2

EXACT = ("svd", "qdwh")
POLYNOMIALS = ("standard", "dion", "classical", "polar_express", "cans", "deepseek")


def polynomials(name: str, steps: int, safety: float = 1.0) -> tuple[Triple, ...]:
    """The triples (a, b, c) of σ ← a·σ + b·σ³ + c·σ⁵, one for each step.

    `"standard"` leaves singular values between 0.7 and 1.2; `"dion"` has five steps of its own;
    `"classical"` converges to 1; `"polar_express"` is nearly optimal for its number of steps, for
    singular values from 10⁻³ to `safety`; `"cans"` is so with cubic polynomials, c = 0, from
    8.5·10⁻⁴ to `safety`; `"deepseek"` has the standard steps, and two that lead to 1.

    >>> polynomials("deepseek", 10)[-1]
    (2.0, -1.5, 0.5)

    Raises:
        ValueError: Unknown name, or a number of steps that it does not have.
    """
    if name == "standard":
        return (STANDARD,) * steps
    if name == "dion":
        return SEARCHED
    if name == "classical":
        return (CLASSICAL,) * steps
    if name == "polar_express":
        return polar_express(steps, safety=safety)
    if name == "cans":
        return cans(steps, safety=safety)
    if name == "deepseek":
        if steps < 3:
            errors.fail("polynomials", "steps of 'deepseek' must be 3 or more", steps)
        return (STANDARD,) * (steps - 2) + (POLISH,) * 2
    errors.fail("polynomials", f"name must be one of {', '.join(POLYNOMIALS)}", name)


LONGEST = 100  # steps; each is a part of the compiled program


def polar_steps(where: str, name: str, given: Any, steps: int, dtype: Any = None) -> Any:
    """The argument `how` of `polar_factor`: the name of an exact method, or triples.

    Args:
        where: The factory, for messages.
        name: The name of its argument, for messages.
        given: A triple for all steps, a triple for each, or a name.
        steps: The number of steps, if the triples do not determine it.
        dtype: Dtype of the products, or None.

    Raises:
        TypeError: The dtype is not a floating-point dtype.
        ValueError: Unknown method; an exact method with a dtype.
    """
    if dtype is not None and not jnp.issubdtype(dtype, jnp.inexact):
        must = "dtype must be a floating-point dtype"
        errors.fail(where, must, dtype, kind=TypeError)
    if not 1 <= steps <= LONGEST:  # before a list of that length is made
        errors.fail(where, f"the iteration must have 1 to {LONGEST} steps", steps)
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str):
        if given in EXACT:
            if dtype is not None:
                must = f"dtype must be None with the exact {name} {given!r}"
                hint = "It is the dtype of a polynomial iteration."
                errors.fail(where, must, jnp.dtype(dtype).name, instead=hint)
            return given
        if given not in POLYNOMIALS:
            must = f"{name} must be numbers or one of {', '.join(POLYNOMIALS + EXACT)}"
            errors.fail(where, must, given)
        narrow = dtype is not None and jnp.finfo(dtype).bits < 32
        given = polynomials(given, steps, 1.01 if narrow else 1.0)
    if not given:
        errors.fail(where, f"{name} must have a triple (a, b, c)", given)
    triples = list(given) if isinstance(given[0], Sequence) else [given] * steps
    if not all(len(triple) == 3 for triple in triples):
        errors.fail(where, f"{name} must be triples (a, b, c)", given)
    return tuple(tuple(map(float, triple)) for triple in triples)


@functools.cache
def polar_express(
    steps: int, lower: float = 1e-3, cushion: float = 0.02407327424182761, safety: float = 1.0
) -> tuple[Triple, ...]:
    """Polar Express: polynomials whose composition approximates 1 on [lower, 1]; in float64.

    Each is optimal for the image of the interval under those before it: its error 1 − p has the
    same size at four points, the ends and two between, with alternating signs (Remez). The lower
    end is taken to be at least `cushion` times the upper one, so that the polynomial is not too
    steep for 16-bit arithmetic; with 0 the composition is optimal.

    >>> [round(x, 4) for x in polar_express(5)[0]]
    [8.2872, -23.5959, 17.3004]

    Args:
        steps: Number of polynomials.
        lower: The least singular value relative to the largest, in (0, 1).
        cushion: In [0, 1).
        safety: At least 1: all but the last polynomial are for singular values up to this. Rounding
            to 16 bits moves some above 1, where the polynomials grow without bound; 1.01 suffices.

    Reference: Amsel, Persson, Musco and Gower, The Polar Express: optimal matrix sign methods and
        their application to the Muon algorithm, 2025, https://arxiv.org/abs/2505.16932
    """
    if not 0 < lower < 1:
        errors.fail("polar_express", "lower must lie in (0, 1)", lower)
    found, low, high = [], lower, 1.0
    for _ in range(steps):
        best = np.array(_best(max(low, cushion * high), high))
        ends = apply([best], np.array([low, high]))
        best *= 2 / ends.sum()  # with a cushion the middle is not at 1
        found.append(tuple(map(float, best)))
        low, high = apply([best], np.array([low, high]))
    return _safe(found, safety)


def _safe(found: list[Triple], safety: float) -> tuple[Triple, ...]:
    """The polynomials, all but the last for singular values up to `safety` times as large."""
    return (*((a / safety, b / safety**3, c / safety**5) for a, b, c in found[:-1]), *found[-1:])


def _best(low: float, high: float) -> Triple:
    """The best approximation of 1 on an interval by an odd polynomial of degree 5."""
    if high - low < 1e-5:  # where four points are no longer apart: Taylor's at the middle
        middle = (low + high) / 2
        a, b, c = CLASSICAL
        return a / middle, b / middle**3, c / middle**5
    points = np.array([low, (3 * low + high) / 4, (low + 3 * high) / 4, high])
    error = np.inf
    for _ in range(100):
        powers = np.stack([points, points**3, points**5, [1, -1, 1, -1]], axis=1)
        a, b, c, new = np.linalg.solve(powers, np.ones(4))
        if abs(new - error) <= 1e-15:
            break
        error = new
        inner = np.roots([5 * c, 3 * b, a])  # where p′ is 0, in σ²
        points[1:3] = np.sort(np.sqrt(inner.real))
    return a, b, c


@functools.cache
def cans(
    steps: int,
    delta: float = 0.3,
    lower: float = 8.5e-4,
    safety: float = 1.0,
    degree: int = 3,
) -> tuple[Triple, ...]:
    """CANS: polynomials whose composition maps [a, 1] to [1 − δ, 1 + δ], a least; in float64.

        p(σ) = 2·((l² + l·h + h²)·σ − σ³) / (r + q),    r = 2·((l² + l·h + h²) / 3)^(3/2)
        error (r − q) / (r + q),                        q = l·h·(l + h)

    The first has l = a and h = 1, the others the image of that interval under those before. Each is
    the best approximation of 1 on [l, h] of its degree (Chebyshev). A cubic step costs two products
    of matrices, one of degree 5 three. Those of degree 5 are Polar Express without a cushion, for
    the interval that δ determines.

    >>> [round(x, 4) for x in cans(7)[0]]
    [5.1818, -5.1772, 0.0]

    Args:
        steps: Number of polynomials.
        delta: δ in (0, 1).
        lower: The least a, in (0, 1). With more steps than it needs, the error is less than δ.
        safety: At least 1; as in `polar_express`. Beyond the interval a cubic polynomial changes
            the sign of a singular value, so 16 bits need it.
        degree: 3 or 5.

    Reference: Grishina, Smirnov and Rakhuba, Accelerating Newton-Schulz iteration for
        orthogonalization via Chebyshev-type polynomials, 2025, https://arxiv.org/abs/2506.10935
    """
    for name, number in (("delta", delta), ("lower", lower)):
        if not 0 < number < 1:
            errors.fail("cans", f"{name} must lie in (0, 1)", number)
    if degree not in DEGREES:
        errors.fail("cans", "degree must be 3 or 5", degree)
    best = DEGREES[degree]
    least, most = np.log(lower), 0.0  # of log a, where the error is more, and less, than δ
    if best(lower, steps)[1] <= delta:
        most = least
    while (middle := (least + most) / 2) not in (least, most):
        if best(float(np.exp(middle)), steps)[1] > delta:
            least = middle
        else:
            most = middle
    return _safe(best(float(np.exp(most)), steps)[0], safety)


def _cubics(low: float, steps: int) -> tuple[list[Triple], float]:
    """The best cubic polynomials for [low, 1] and its images, and the error after all."""
    high, found = 1.0, []
    for _ in range(steps):
        square = low**2 + low * high + high**2
        r, q = 2 * (square / 3) ** 1.5, low * high * (low + high)
        found.append((2 * square / (r + q), -2 / (r + q), 0.0))
        low, high = 2 * q / (r + q), 2 * r / (r + q)
    return found, high - 1


def _quintics(low: float, steps: int) -> tuple[list[Triple], float]:
    """The best polynomials of degree 5, and the error after all."""
    found = list(polar_express(steps, low, 0.0))
    return found, float(1 - apply(found, np.array(low)))


DEGREES = {3: _cubics, 5: _quintics}


def apply(triples: Iterable[Any], values: np.ndarray) -> np.ndarray:
    """The image of singular values under the polynomials."""
    for a, b, c in triples:
        values = a * values + b * values**3 + c * values**5
    return values
