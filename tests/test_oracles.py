"""Agreement with independent references to 1e-10 in float64 over 60 steps.

Trajectories recorded from other packages (`oracles/recorded/`, made by `oracles/record_*.py`) and
NumPy transcriptions of the papers' formulas, on one noisy, badly scaled quadratic. Which
transformation agrees with what stands in `AGREE` of the tests of its file.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

import gdjax as gd
from tests import cases, references
from tests.references import RECORDED, USED, agreements, path_of, recordings

AGREE = agreements()


def labels():
    """All references, of which the quick suite asks one for each transformation."""
    seen = set()
    for label, entry in AGREE.items():
        again = entry.tx.name in seen
        seen.add(entry.tx.name)
        yield pytest.param(label, marks=pytest.mark.slow) if again else label


@pytest.mark.parametrize("label", list(labels()))
def test_agrees(label, x64):
    tx, reference, tolerance, *how = AGREE[label]
    expected = reference()
    assert expected.shape == (61, 8) and np.ptp(expected) > 0.1 and tolerance <= 1e-5
    np.testing.assert_allclose(path_of(tx, *how), expected, rtol=tolerance, atol=tolerance)


# In the recordings, but not of anything that is here.
NOT_HERE = {
    "seminar": {
        "sgd_momentum_dampening_undampened_start": "torch's dampening",
        "clip_norm_sgd": "torch adds 1e-6 to the norm; `clip-norm` holds the formula to 1e-10",
    },
    "adam_kin": {
        "pytorch_optimizer/laprop": "small constants of its own in both divisions: 2e-8 apart",
        "pytorch_optimizer/yogi_initial": "starts the mean gradient at the value of v; the paper "
        "at 0",
        "pytorch_optimizer/novograd": "corrects m and v for a start at 0; the paper's starts at "
        "‖g‖²",
    },
    "kronecker": {
        "kron_torch/momentum": "it takes its step by the mean gradient with the damping noise in "
        "it, which the paper adds to what the preconditioner is fitted to and to nothing else",
        "noise/w": "what the recordings drew",
        "noise/b": "what the recordings drew",
        "heavyball/rows": "no path: test_kl_shampoo compares the factors",
        "heavyball/columns": "no path: test_kl_shampoo compares the factors",
        "heavyball/gradients": "no path: test_kl_shampoo compares the factors",
    },
    "low_rank": {
        "apollo_torch/apollo/drawn": "what the recordings drew",
        "apollo_torch/apollo_mini/drawn": "what the recordings drew",
    },
}
# Read by other tests: those of compat.torch, of the losses and of `store`.
ELSEWHERE = {"compat_torch", "losses", "store"}
FILES = sorted({file.stem for file in RECORDED.glob("*.npz")} - ELSEWHERE)


@pytest.mark.parametrize("file", FILES)
def test_every_recording_is_used(file):
    used = {key for name, key in USED if name == file}
    here = {key for key in recordings(file).files if not key.startswith("lr/")} - {"meta"}
    assert here == used | set(NOT_HERE.get(file, ()))


RULES = [
    entry.reference
    for entry in AGREE.values()
    if isinstance(getattr(entry.reference, "keywords", {}).get("eta"), float)
]
# One call of each function is enough.
BY_FUNCTION = {f"{r.func.__module__.split('.test_')[-1]}-{r.func.__name__}": r for r in RULES}


@pytest.mark.parametrize("name", BY_FUNCTION)
def test_a_rate_of_a_transcription_is_a_number_or_a_function(name, x64):
    call = BY_FUNCTION[name]
    eta = call.keywords["eta"]
    scheduled = functools.partial(call.func, *call.args, **call.keywords | {"eta": lambda t: eta})
    np.testing.assert_array_equal(scheduled(), call())


def test_every_optimizer_has_a_reference():
    """And so has every other rule, but for those that only add, drop, pass or hold.

    Those stand in `PLAIN` of their tests: there is nothing for a paper to say.
    """
    missing = references.missing_references(cases.factories())
    assert not missing, "\n" + "\n".join(missing)


def test_a_missing_reference_is_asked_for():
    known = {"xyz": "gdjax.optimizers.adam.xyz"}
    asked = "add an entry for 'xyz' to AGREE in tests/optimizers/adam/test_xyz.py"
    assert references.missing_references(known) == [asked]


def test_a_wrong_constant_is_caught(x64):
    """The tolerance sees a change of 1e-8 in a rate, of eps, and of the seventh digit of b2."""
    expected = recordings("seminar")["adam"]
    for wrong in (gd.adam(0.05 * (1 + 1e-8)), gd.adam(0.05, eps=2e-8), gd.adam(0.05, b2=0.9990001)):
        assert np.abs(path_of(wrong) - expected).max() > 1e-10
