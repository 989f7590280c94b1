"""Search spaces of hyperparameters: ranges, and quasi-random settings drawn from them."""

from __future__ import annotations

__all__ = ["Range", "Space", "decay", "ratio"]

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_SEED = 0  # of the scrambled sequence, the same for all optimizers


class Range(NamedTuple):
    """The numbers from `low` to `high`, uniform in log(x), or in log(1 − x) for a decay."""

    low: float
    high: float
    decays: bool = False

    def at(self, share: float) -> float:
        """The number at a share from 0 to 1 of the range, to four digits.

        >>> ratio(1e-4, 1e-2).at(0.5), decay(0.9, 0.999).at(0.5)
        (0.001, 0.99)
        """
        low, high = (1 - self.low, 1 - self.high) if self.decays else self[:2]
        value = low * (high / low) ** share
        return float(f"{1 - value if self.decays else value:.4g}")

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


def ratio(low: float, high: float) -> Range:
    """A range of a rate or of a weight decay, uniform in log(x)."""
    return Range(low, high)


def decay(low: float, high: float) -> Range:
    """A range of the decay of a mean, uniform in log(1 − x)."""
    return Range(low, high, True)


class Space(NamedTuple):
    """The hyperparameters that are searched, and the optimizer that they make."""

    make: Callable[..., Any]  # of the number of steps, and of the hyperparameters by name
    ranges: Mapping[str, Range]

    def settings(self, count: int) -> list[dict[str, float]]:
        """The first settings of a scrambled Halton sequence in the ranges.

        A smaller count gives the first settings of a larger one.

        Reference: Halton, On the efficiency of certain quasi-random sequences of points in
        evaluating multi-dimensional integrals, 1960, https://doi.org/10.1007/BF01386213
        """
        from scipy.stats import qmc

        points = qmc.Halton(len(self.ranges), seed=_SEED).random(count)
        names, ranges = self.ranges.keys(), self.ranges.values()
        return [dict(zip(names, (r.at(u) for r, u in zip(ranges, point)))) for point in points]
