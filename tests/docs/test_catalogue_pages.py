"""Pages of optimizers: every formula translates, every optimizer has all sections and all data."""

import importlib.util
import re
import unicodedata

import numpy as np
import pytest

from gdjax.core.data.recipe import factories

from ..helpers import first
from ..update import ROOT
from . import catalogue_data
from .scripts import facts, formulas, landscapes, notes, pages, pictures, tex

NAMES = catalogue_data.optimizers()
SHOWN = ("gdjax.optimizers.", "gdjax.transforms.")
WITH_FORMULA = [
    name
    for name, made in sorted(factories().items())
    if made.module.startswith(SHOWN) and formulas.has_formula(name)
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m ← b1·m + (1 − b1)·g", r"m \leftarrow \beta_1\,m + (1 - \beta_1)\,g"),
        ("m̂ / (√v̂ + eps)", r"\frac{\hat{m}}{\sqrt{\hat{v}} + \varepsilon}"),
        ("a / b · c", r"\frac{a}{b} \cdot c"),
        ("η·‖w‖/‖g‖·g", r"\eta \,\frac{\|w\|}{\|g\|}\,g"),
        ("m / (1 − b1ᵗ⁺¹)", r"\frac{m}{1 - \beta_1^{t+1}}"),
        ("S_b^(−1/2)", r"S_{b}^{-1/2}"),
        ("Q_aᵀ·G", r"Q_{a}^{\top}\,G"),
        ("√max(1, a/in)", r"\sqrt{\operatorname{max}\left(1,\;\frac{a}{\mathrm{in}}\right)}"),
        ("u = X₅ in the first step", r"u = X_{5}\;\text{in the first step}"),
        ("v of `scale_by_adam`", r"v\;\text{of}\;\mathtt{scale\_by\_adam}"),
        ("min(η⁺·Δ, Δmax)", r"\operatorname{min}(\eta ^{+}\,\Delta ,\;\Delta _{\mathrm{max}})"),
        ("|g − m|²", r"|g - m|^{2}"),
    ],
)  # fmt: skip
def test_formulas_are_read_as_they_are_meant(text, expected):
    assert tex.translate(text) == expected


@pytest.mark.parametrize("text", ["a ⊗ b", "(a + b", "a ·"])
def test_what_is_no_formula_raises(text):
    with pytest.raises(tex.Unknown):
        tex.translate(text)


@pytest.mark.parametrize("name", WITH_FORMULA)
def test_every_formula_of_a_docstring_translates(name):
    """matplotlib's reader of TeX takes each piece, and no Unicode is left."""
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for block in filter(formulas.is_formula, formulas.blocks(name)):
        assert formulas.display(block).isascii()
        for row in formulas.rows(block):
            for piece in filter(None, (row.label, *row.formulas, row.remark)):
                parser.parse(f"${piece}$")


def test_no_letter_of_a_formula_is_lost():
    """Each Greek letter and each variable of a block is in its TeX."""
    for name in WITH_FORMULA:
        for block in filter(formulas.is_formula, formulas.blocks(name)):
            shown = formulas.display(block)
            for letter in set(unicodedata.normalize("NFD", block)) & set(tex.GREEK):
                assert f"\\{tex.GREEK[letter]}" in shown, f"{name}: {letter}"
            count = len(re.findall("[←]", block))
            assert shown.count(r"\leftarrow") == count, name


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_has_a_formula(name):
    """Its own, or one of a stage."""
    assert formulas.has_formula(name), f"write the formula of {name} in its docstring, indented"


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_all_sections(name):
    text = pages.page(name)
    assert re.findall("^## (.*)$", text, re.M) == pages.SECTIONS
    assert "$$" in text and f"{name}.paths.png" in text and f"{name}.digits.png" in text
    for section in re.split("^## .*$", text, flags=re.M)[1:]:
        assert len(section.strip()) > 20
    assert f"]({name}.md)" in pages.index() and f"{name}.small.png" in pages.index()
    for target in re.findall(r"\]\((?!https?:)([^)#]*)", text):
        inside = target.removesuffix(".md") in NAMES or target == pages.INDEX or ".png" in target
        assert inside or (ROOT / "docs" / "catalogue" / target).resolve().exists(), target


def test_notes_are_of_all_optimizers_in_the_files_of_their_families():
    found = {family: sorted(entries) for family, entries in notes.notes().items()}
    assert found == {family: sorted(names) for family, names in facts.families().items()}
    for entries in notes.notes().values():
        for name, note in entries.items():
            assert note.pro and note.con and len(note.pro + note.con) <= 5, name
            assert all(sentence.endswith(".") for sentence in note.pro + note.con), name


def test_all_was_measured():
    data = landscapes.data()
    for what in ("paths", "digits"):
        assert sorted(data[what]) == NAMES, f"run python -m tests.docs.catalogue_data {what}"
    for name in NAMES:
        assert ("CPU" in facts.cost(name)) != (name in catalogue_data.WITHOUT_A_PROGRAM), name
    assert list(facts.cost("adamw")) == ["CPU", "TPU v5e", "H200"]


@pytest.mark.parametrize("where", landscapes.PLACES)
def test_paths_go_down_and_stay_in_the_picture(where):
    place = landscapes.PLACES[where]
    for name in NAMES:
        points = np.reshape(landscapes.data()["paths"][name][where]["path"], (-1, 2)) / 1000
        assert len(points) == landscapes.STEPS + 1
        left, right, bottom, top = place.box
        inside = (points >= [left, bottom]) & (points <= [right, top])
        assert inside.all(), name
        assert place.loss(points[-1]) < 0.5 * place.loss(points[0]), name


def test_best_rates_lie_inside_of_their_sweeps():
    for name in NAMES:
        if landscapes.rate_of(name) is not None:
            gaps = landscapes.sweep(name)[1][:, 0]
            level = gaps.min() <= landscapes.FLOOR  # then a best rate is one of several
            assert level or 0 < np.argmin(gaps) < len(gaps) - 1, name


@pytest.mark.parametrize(
    ("name", "argument", "default", "optax", "torch"),
    [
        ("adamw", "weight_decay", "0.0001", "0.0001", "0.01"),
        ("adamw", "b1", "0.9", "0.9", "0.9"),  # torch's betas[0]
        ("rmsprop", "eps_in_sqrt", "False", "True", ""),
        ("rmsprop", "decay", "0.9", "0.9", "0.99"),
        ("adagrad", "initial_accumulator_value", "0.0", "0.1", "0"),
        ("muon", "b1", "0.95", "0.95", ""),
        ("adan", "learning_rate", "–", "–", ""),
    ],
)
def test_defaults_stand_beside_those_of_others(name, argument, default, optax, torch):
    row = next(row for row in facts.arguments(name) if row.name == argument)
    assert row[1:4] == (default, optax, torch)
    line = next(x for x in pages.page(name).splitlines() if x.startswith(f"| `{argument}`"))
    others = [value for value in (optax, torch) if value not in ("", "–")]
    differing = [value for value in others if not facts.equal(value, default)]
    assert line.count("**") == 2 * len(differing)


@pytest.mark.parametrize("name", first(1, ["sgd", "lbfgs"]))
def test_pictures_are_drawn(name):
    from matplotlib.image import imread

    for draw in (pictures.paths, pictures.digits, pictures.thumbnail):
        shown = imread(pictures.BytesIO(draw(name)))
        assert (
            shown.shape[1] > 400 and len(np.unique(shown.reshape(-1, shown.shape[2]), axis=0)) > 50
        )


def test_the_script_writes_pages_and_pictures(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("script", ROOT / "docs/scripts/catalogue.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(facts, "families", lambda: {"sgd": ["sgd"]})
    script.write(lambda path, content: script.into(tmp_path, path, content))
    assert sorted(file.name for file in (tmp_path / "catalogue").iterdir()) == [
        "optimizers.md",
        "sgd.digits.png",
        "sgd.md",
        "sgd.paths.png",
        "sgd.small.png",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adam"])  # by others rounding may choose another rate
def test_measured_anew_it_is_the_same(name):
    data = landscapes.data()
    anew = catalogue_data.paths(name)
    for where, found in anew.items():
        kept = data["paths"][name][where]
        assert found["rate"] == kept["rate"]
        assert np.abs(np.subtract(found["path"], kept["path"])).max() <= 5  # thousandths
    found, kept = catalogue_data.digits(name), data["digits"][name]
    assert found["rates"] == kept["rates"]
    gaps = landscapes.sweep(name)[1][:, 0]
    assert np.argmin(gaps) > 3
    # Beyond the best rate a run is unstable, and rounding decides where it ends.
    stable = np.flatnonzero(gaps[: np.argmin(gaps)] > 1e-5)
    np.testing.assert_allclose(np.asarray(found["gaps"])[stable], gaps[stable], rtol=0.05)
