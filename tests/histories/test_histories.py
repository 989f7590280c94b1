"""Three hundred histories; that all wrappers are in them, and that planted faults are found."""

from __future__ import annotations

import pytest

from gdjax.core.data import recipe
from gdjax.state import saving
from gdjax.wrappers.guards import apply_if_finite
from tests.histories.histories import BLOCK, Fault, History, history, parts_of, play, shrink
from tests.histories.optimizers import WRAPPERS

COUNT = 300  # `python -m tests.histories --count 100000` runs the others


@pytest.mark.parametrize("first", range(0, COUNT, BLOCK))
def test_nothing_breaks_a_promise(first):
    for number in range(first, first + BLOCK):
        fault = play(history(number, whole_catalogue=False))
        assert fault is None, f"history {number}:\n{fault}"


def test_all_wrappers_are_drawn():
    drawn = {text.removeprefix("gd.").split("(")[0] for text in WRAPPERS}
    made = recipe.factories().items()
    known = {name for name, one in made if one.kind == "wrapper" and ".wrappers." in one.module}
    # Those that are not drawn: a stage, one that needs the loss, and one of two transformations.
    beside = {"conditionally_transform", "schedule_free_plus", "weight_normalized"}
    assert known - drawn == beside


def forgets(monkeypatch):
    """The average of a wrapper is lost where a state is restored."""
    restore = saving._Source.restore

    def without(self, name, leaf):
        kept = restore(self, name, leaf)
        return leaf if name.path[0] == "average" else kept

    monkeypatch.setattr(saving._Source, "restore", without)


def does_not_count(monkeypatch):
    """Gradients with a NaN are skipped, and not counted."""
    monkeypatch.setattr(apply_if_finite, "increment", lambda count: count)


def is_off_by_one(monkeypatch):
    """The bias correction after a restoration is that of the step before."""
    restore = saving._Source.restore

    def late(self, name, leaf):
        kept = restore(self, name, leaf)
        return kept - 1 if name.owner == "scale_by_adam" and name.path == ("count",) else kept

    monkeypatch.setattr(saving._Source, "restore", late)


@pytest.mark.parametrize(
    "plant, error",
    [
        (forgets, "twin"),
        (does_not_count, "'apply_if_finite', 0, 'total_notfinite')"),
        (is_off_by_one, "twin"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_planted_faults_are_found(plant, error, monkeypatch):
    plant(monkeypatch)
    optimizer = "gd.with_ema(gd.apply_if_finite(gd.adam(0.05)), 0.9)"
    given = (history(n)._replace(optimizer=optimizer) for n in range(100_000, 100_020))
    found = next(fault for one in given if (fault := play(one)) is not None)
    assert error in found.error
    least = shrink(found, seconds=5)
    assert len(least.history.actions) <= 2, least


def test_a_fault_is_a_program():
    actions = (("step", "jit", 2), ("save", "npz"))
    text = str(Fault(History("gd.sgd(0.1)", "{'w': leaf(2, 3)}", actions), "AssertionError: so"))
    namespace = {}
    exec(text, namespace)
    assert namespace["run"].number == 2


def test_histories_become_smaller():
    assert set(parts_of("gd.with_ema(gd.accumulate(gd.sgd(0.1), 2), 0.9)")) >= {
        "gd.with_ema(gd.sgd(0.1), 0.9)",
        "gd.accumulate(gd.sgd(0.1), 2)",
    }
    assert set(parts_of("{'a': leaf(2), 'b': [leaf(3)]}")) >= {"{'a': leaf(2)}", "{'b': [leaf(3)]}"}
