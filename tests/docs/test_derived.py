"""What is derived from the code is as the code says."""

import pytest

from .. import update
from ..update import COMMAND, DERIVED, ROOT

SLOW = {"scaling"}  # shapes of a model of 10¹² parameters


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in DERIVED],
)
def test_is_up_to_date(name):
    path, make = DERIVED[name]
    text = (ROOT / path).read_text("utf-8")
    fresh = text == make(text)  # no comparison that pytest would print, thousands of lines long
    assert fresh, f"{path} is not as the code makes it now; run `{COMMAND}`"


def test_the_command_writes_what_is_out_of_date(tmp_path, monkeypatch, capsys):
    file = tmp_path / "page.md"
    file.write_text("# Page\n\n<!-- part -->\nold\n<!-- /part -->\n\nText.\n")
    make = lambda text: update.between(text, "part", "new\n")
    monkeypatch.setattr(update, "ROOT", tmp_path)
    monkeypatch.setattr(update, "DERIVED", {"part": ("page.md", make)})
    update.main([])
    assert file.read_text() == "# Page\n\n<!-- part -->\nnew\n<!-- /part -->\n\nText.\n"
    update.main(["page.md"])
    assert capsys.readouterr().out.splitlines() == [
        "page.md: part written",
        "page.md: part is up to date",
    ]
    with pytest.raises(SystemExit):
        update.main(["pages.md"])
