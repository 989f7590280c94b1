"""The coordinate check of muP on the character transformer, as its page shows it and anew."""

import numpy as np
import pytest

from tests.docs.scripts import coordinate_check as script


def sizes(carried):
    runs = [run for run in script.kept() if run["kind"] == "check" and run["carried"] == carried]
    assert [run["width"] for run in runs] == list(script.WIDTHS)
    return np.array([run["sizes"] for run in runs])


def test_with_rows_the_kept_sizes_do_not_depend_on_the_width():
    assert np.abs(script.slopes(sizes(True))).max() < 0.15


def test_without_rows_the_kept_sizes_of_blocks_and_logits_grow():
    without = script.slopes(sizes(False))
    assert without[1:3].min() > 1 and without[3] > 0.4


def test_with_rows_the_kept_best_rate_stays_within_half_an_octave():
    best = {
        carried: [
            script.vertex(run["rates"], run["losses"])
            for run in script.kept()
            if run["kind"] == "rates" and run["carried"] == carried
        ]
        for carried in (False, True)
    }
    assert np.ptp(best[True]) <= 0.5 and best[False][0] - best[False][-1] > 1.5


def test_the_vertex_of_a_parabola():
    rates = 2.0 ** np.arange(-6, 0)
    losses = [[(np.log2(rate) + 3.25) ** 2 + seed for seed in (0, 1)] for rate in rates]
    assert script.vertex(rates, losses) == pytest.approx(-3.25)
    losses[2] = [np.nan, 0.0]  # one that diverged
    assert script.vertex(rates, losses) == -3
    assert script.vertex(rates, [[rate] for rate in rates]) == -6


@pytest.mark.slow
@pytest.mark.parametrize("carried", [False, True])
def test_the_exponents_anew(carried):
    """From width 128: text and random numbers of other versions change some per cent."""
    widths = script.WIDTHS[1:3]
    found = script.slopes([script.coordinates(width, carried) for width in widths], widths)
    if carried:
        assert np.abs(found).max() < 0.15
    else:
        assert found[1:3].min() > 1
