"""The best odd polynomials of degree 5 for the sign on an interval, to 40 digits."""

from __future__ import annotations

import flint

DIGITS = 40
_BITS = 400
Coefficients = list[flint.arb]


def value(p: Coefficients, x: flint.arb) -> flint.arb:
    """p(x) = a·x + b·x³ + c·x⁵."""
    a, b, c = p
    return a * x + b * x**3 + c * x**5


def best(low: flint.arb, high: flint.arb) -> Coefficients:
    """The p that is nearest to 1 on [low, high].

    By Chebyshev's theorem it is the one whose error has the same size and alternating signs at
    four points, of which the inner two are where p′ is 0. Both are checked.
    """
    points = [low, (3 * low + high) / 4, (low + 3 * high) / 4, high]
    for _ in range(60):
        rows = [[x, x**3, x**5, flint.arb((-1) ** i)] for i, x in enumerate(points)]
        a, b, c, error = flint.arb_mat(rows).solve(flint.arb_mat([[1]] * 4)).entries()
        root = (9 * b * b - 20 * a * c).sqrt()
        inner = sorted((((-3 * b + s * root) / (10 * c)).sqrt() for s in (1, -1)), key=float)
        moved = max(abs(x - y) for x, y in zip(inner, points[1:3]))
        points[1:3] = [x.mid() for x in inner]  # a choice of points has no error
        if moved < flint.arb(10) ** -(DIGITS + 5):
            break
    p = [a, b, c]
    errors = [1 - value(p, x) for x in points]
    assert all(abs(e - error * (-1) ** i) < small() for i, e in enumerate(errors))
    assert all(abs(a + 3 * b * x**2 + 5 * c * x**4) < small() for x in points[1:3])
    return [x.mid() for x in p]


def small() -> flint.arb:
    """What is 0 to 40 digits."""
    return flint.arb(10) ** -DIGITS


def recursion(steps: int, lower: str, cushion: str, safety: str) -> list[Coefficients]:
    """Polar Express as its docstring has it: each is the best for the image under those before."""
    with flint.ctx.workprec(_BITS):
        found, low, high = [], flint.arb(lower), flint.arb(1)
        for step in range(steps):
            p = best(max(low, flint.arb(cushion) * high), high)
            middle = (value(p, low) + value(p, high)) / 2
            p = [x / middle for x in p]
            low, high = value(p, low).mid(), value(p, high).mid()
            s = flint.arb(safety if step < steps - 1 else "1")
            found.append([x / s**n for x, n in zip(p, (1, 3, 5))])
    return found
