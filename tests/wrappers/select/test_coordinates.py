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
