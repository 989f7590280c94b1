"""The list of methods that are left out on purpose."""

import re

from gdjax.core.data.recipe import factories

from . import left_out


def test_the_list_is_in_order_and_complete():
    found = left_out.methods()
    assert [m.name for m in found] == sorted((m.name for m in found), key=str.lower)
    for method in found:
        assert method.reference.startswith("https://"), method
        assert method.reason.endswith(".") and "|" not in method.reason, method


def test_what_is_left_out_is_not_here_and_what_is_named_instead_is():
    for method in left_out.methods():
        assert re.sub(r"\W+", "_", method.name).lower() not in factories(), method.name
        for name in re.findall("`(.*?)`", method.reason):
            assert name in factories(), f"{method.name}: {name}"
