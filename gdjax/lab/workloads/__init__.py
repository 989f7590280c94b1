"""Twelve small problems of different kinds, for optimizers without tuning beside tuned ones.

>>> from gdjax.lab import workloads
>>> len(workloads.WORKLOADS), workloads.workload("bandit").measured
(12, 'minus the expected reward')
"""

from __future__ import annotations

__all__ = ["WORKLOADS", "workload"]

import dataclasses
import functools
import json
from collections.abc import Callable
from importlib import resources

from gdjax.core.rule import errors
from gdjax.lab.charlm import charlm_small
from gdjax.lab.problem import Problem
from gdjax.lab.workloads import problems

WORKLOADS: dict[str, Callable[[], Problem]] = {
    "charlm": lambda: dataclasses.replace(charlm_small(), name="charlm"),
    "digits_network": problems.digits_network,
    "digits_convolution": problems.digits_convolution,
    "mnist1d": problems.mnist1d,
    "autoencoder": problems.autoencoder,
    "matrix_factorization": problems.matrix_factorization,
    "teacher": problems.teacher,
    "bandit": problems.bandit,
    "graph": problems.graph,
    "tabular": problems.tabular,
    "sparse_logistic": problems.sparse_logistic,
    "resnet8": problems.resnet8,
}
"""The workloads by name: functions that make them, without their targets."""


def workload(name: str) -> Problem:
    """A workload with the target that was fixed for it, None where there is none yet.

    Args:
        name: A key of `WORKLOADS`.

    Raises:
        ValueError: There is no such workload.
    """
    if name not in WORKLOADS:
        errors.fail("workload", f"name must be one of {', '.join(WORKLOADS)}", name)
    return dataclasses.replace(WORKLOADS[name](), target=_targets().get(name))


@functools.cache
def _targets() -> dict[str, float]:
    text = resources.files(__name__).joinpath("targets.json").read_text("utf-8")
    return {name: found["target"] for name, found in json.loads(text).items()}
