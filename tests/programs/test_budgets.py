"""What steps cost on chips that are not here: recorded, held, and beside optax.

    pytest -o addopts= --noconftest -m chips tests/programs/test_budgets.py -k v5e

in an environment with the compiler of the chip; `tests.programs.budgets` records the numbers.
"""

from __future__ import annotations

import pytest

from tests.programs.budgets import PLACES, STEPS, measured, recorded

BUDGETS = recorded()
FIGURES = ("bytes", "temporary", "kernels", "copies")


def over(found, known):
    """The figures of one step that are more than those of another."""
    more = [f for f in FIGURES if found[f] > 1.01 * known[f] + 0.05]
    extra = found["collectives"], known["collectives"]
    more += [kind for kind in extra[0] if extra[0][kind] > extra[1].get(kind, 0)]
    return {what: (found.get(what), known.get(what)) for what in more}


@pytest.mark.chips
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("place", PLACES)
def test_a_step_stays_within_its_budget(place, name):
    found = measured(place, name)
    assert not over(found, BUDGETS[place][name]["gdjax"]), found


# What is more than optax's, and why.
MORE = {
    ("accumulate(adamw, 4)", "kernels"),  # three of one number on a GPU, which count the skipped
    # Buffers of sums on a TPU, which hardly grow with the model: of a clip on eight chips 12 MB for
    # this one and 15 for one that is 33 times as large, of optax's 7 and 10.
    ("adafactor", "temporary"),
    ("clip + adamw + schedule", "temporary"),
    ("clip + adamw + schedule", "copies"),  # three of vectors
    ("lamb", "temporary"),
    # What a TPU holds in its fast memory from kernel to kernel: 0.7 and 3.2 bytes of this model
    # more, 2 and 0.3 of the larger one.
    ("adafactor", "bytes"),
    ("muon", "bytes"),
    # z is written before the parameters, by kernels of its own for some matrices.
    ("schedule_free_adamw", "kernels"),
}


def test_no_step_costs_more_than_optax():
    """But for scalars: two kernels of one number are none."""
    more = set()
    for rows in BUDGETS.values():
        for name, row in rows.items():
            if isinstance(theirs := row.get("optax"), dict):
                room = {**theirs, "kernels": theirs["kernels"] + 2}
                more |= {(name, figure) for figure in over(row["gdjax"], room)}
    assert more == MORE


def test_every_step_has_a_budget_in_every_place():
    assert {place: set(rows) for place, rows in BUDGETS.items()} == dict.fromkeys(
        PLACES, set(STEPS)
    )


def test_more_is_noticed():
    known = BUDGETS["v5e:2x4"]["muon"]["gdjax"]
    assert not over(known, known)
    for figure in FIGURES:
        assert over({**known, figure: 1.1 * known[figure] + 1}, known)
    assert over({**known, "collectives": {"all-gather": 999}}, known)
