"""Pictures hold what they were given, and writing them is all or nothing."""

from __future__ import annotations

import ast
import inspect
import io
import pickle
import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import gdjax as gd
from gdjax import plots
from gdjax.lab import problems

RATES = np.logspace(-3, 0, 4)


def legend(figure):
    """What the legend says, wherever it stands."""
    found = [ax.get_legend() for ax in figure.axes] + figure.legends
    return [text.get_text() for box in found if box for text in box.get_texts()]


def labelled(figure):
    """Lines that stand for a curve, by label."""
    lines = figure.axes[0].get_lines()
    return {line.get_label(): line for line in lines if not line.get_label().startswith("_")}


def bowl(p):
    return p[0] ** 2 + 3 * p[1] ** 2


class Halving:
    def __call__(self, step):
        return jax.lax.cond(step < 5, lambda: 0.1, lambda: 0.05)

    def __str__(self):
        return "halving(" + ", ".join(f"number_{i}=1.0" for i in range(20)) + ")"


def test_schedules_by_name():
    given = {"linear": lambda t: 0.1 * t.astype(float), "constant": lambda t: 0.5}
    figure = plots.schedules(given, 10)
    assert isinstance(figure, Figure)
    assert legend(figure) == list(given)
    np.testing.assert_allclose(labelled(figure)["linear"].get_ydata(), 0.1 * np.arange(11))
    np.testing.assert_allclose(labelled(figure)["constant"].get_ydata(), np.full(11, 0.5))
    assert figure.axes[0].get_xlabel() == "step"


def test_schedules_of_a_sequence_label_themselves():
    def warmup(t):
        return jnp.minimum(t, 3) / 3

    first, second = legend(plots.schedules([Halving(), warmup], 10))
    assert first.startswith("halving(number_0=1.0")
    assert first.endswith("…")
    assert len(first) <= 60
    assert second == "warmup"


def test_more_curves_than_colours_differ_in_line_style():
    figure = plots.schedules({f"{i}": lambda t, i=i: 0.1 * i for i in range(11)}, 3)
    lines = labelled(figure).values()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 11


def test_losses():
    several = np.exp(-0.1 * np.arange(20)) * np.array([[1.0], [2.0], [9.0]])
    figure = plots.losses({"several": several, "one": jnp.ones(15)}, ylabel="loss (nats)")
    ax = figure.axes[0]
    assert legend(figure) == ["several", "one"]
    np.testing.assert_allclose(labelled(figure)["several"].get_ydata(), several[1])
    assert len(ax.collections) == 1  # one run has no band
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "loss (nats)")
    assert ax.get_legend().get_title().get_text() == "median, quartiles of 3 runs"


@pytest.mark.parametrize(("band", "edges"), [("quartiles", (2.0, 4.0)), ("range", (1.0, 5.0))])
def test_bands(band, edges):
    runs = np.arange(1.0, 6.0)[:, None] * np.ones(4)
    ax = plots.losses({"a": runs}, log=False, band=band).axes[0]
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == edges
    assert ax.get_yscale() == "linear"
    assert ax.get_legend().get_title().get_text() == f"median, {band} of 5 runs"


def test_losses_from_the_optimum_reach_zero_and_diverge_without_a_warning():
    exploding = 10.0 ** np.arange(40)
    exploding[30:] = np.nan
    curves = {"reached": np.array([3.0, 2.0, 1.0, 1.0]), "exploding": np.stack([exploding] * 2)}
    figure = plots.losses(curves, optimum=1.0)
    ax = figure.axes[0]
    assert ax.get_ylabel() == "loss − optimum"
    np.testing.assert_array_equal(labelled(figure)["reached"].get_ydata(), [2, 1, 0, 0])
    low, high = ax.get_ylim()
    assert 0 < low < 1  # an exact hit does not set the scale
    assert 2 < high < 1e5  # nor does an explosion
    figure.savefig(io.BytesIO())


def test_half_of_the_runs_may_diverge_before_the_median_does():
    runs = np.ones((5, 3))
    runs[:2, 1] = np.nan
    runs[:3, 2] = np.inf
    median = labelled(plots.losses({"a": runs}))["a"].get_ydata()
    np.testing.assert_array_equal(median, [1, 1, np.inf])


def test_paths():
    t = np.linspace(0, 1, 9)[:, None]
    lost = np.where(t < 0.5, 1 + t * np.ones(2), np.nan)
    given = {"straight": (1 - t) * np.array([2.0, 1.0]), "lost": lost}
    figure = plots.paths(bowl, given, minimizer=[0.0, 0.0])
    ax = figure.axes[0]
    assert legend(figure) == ["straight", "lost", "minimum"]
    np.testing.assert_allclose(labelled(figure)["straight"].get_xydata(), given["straight"])
    assert len(ax.collections) == 2  # filled contours and their lines
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    assert left < 0 < 2 < right < 4
    assert bottom < 0 < 1 < top


def test_a_path_that_runs_away_does_not_set_the_box():
    given = {"good": np.array([[2.0, 1.0], [0.5, 0.0]]), "away": np.array([[2.0, 1.0], [1e9, 0.0]])}
    right = plots.paths(bowl, given, minimizer=[0, 0]).axes[0].get_xlim()[1]
    assert right < 10
    figure = plots.paths(bowl, given, box=(-3, 3, -1, 2))
    assert figure.axes[0].get_xlim() == (-3, 3)
    assert figure.axes[0].get_ylim() == (-1, 2)


def test_a_flat_function_has_no_contours():
    figure = plots.paths(lambda p: 0.0 * p[0], {"a": np.zeros((3, 2))})
    assert not figure.axes[0].collections


def test_sensitivity():
    losses = np.array([[3.0, 3.0, 3.0], [1.0, 2.0, 4.0], [1.0, 5.0, np.nan], [np.inf] * 3])
    order = [2, 0, 3, 1]
    figure = plots.sensitivity({"a": (RATES[order], losses[order])})
    ax = figure.axes[0]
    assert legend(figure) == ["a"]
    np.testing.assert_allclose(labelled(figure)["a"].get_xdata(), RATES)
    np.testing.assert_array_equal(labelled(figure)["a"].get_ydata(), [3, 2, 5, np.inf])
    (star,) = (line for line in ax.get_lines() if line.get_marker() == "*")
    assert star.get_xydata()[0] == pytest.approx([1e-2, 2.0])
    crosses = ax.collections[-1]
    np.testing.assert_allclose(crosses.get_offsets()[:, 0], RATES[2:])
    np.testing.assert_allclose(crosses.get_alpha(), [0.5, 1.0])
    assert [text.get_text() for text in ax.texts] == ["diverged"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylim()[0] < 2 < 5 < ax.get_ylim()[1]


def test_sensitivity_with_ceiling_and_optimum():
    losses = np.array([[1.5], [2.0], [3.0], [100.0]])
    figure = plots.sensitivity({"a": (RATES, losses)}, optimum=1.0, ceiling=10.0)
    np.testing.assert_array_equal(labelled(figure)["a"].get_ydata(), [0.5, 1, 2, np.inf])
    assert figure.axes[0].get_ylabel() == "final loss − optimum"


def test_sensitivity_where_everything_diverged():
    figure = plots.sensitivity({"a": (RATES, np.full((4, 2), np.nan))})
    assert len(figure.axes[0].collections[-1].get_offsets()) == 4
    figure.savefig(io.BytesIO())


FALL = np.exp(-0.3 * np.arange(13))


NANS = np.full(11, np.nan)


@pytest.mark.parametrize(
    "curves, names, hidden",
    [
        ({"a": FALL, "b": 2 * FALL, "c": FALL * (1 + 1e-6)}, ["a = c", "b"], {"a": 13}),
        ({"a": FALL, "b": np.append(FALL[:-1], 1.0)}, ["a", "b"], {"a": 12}),  # where it is hidden
        ({"a": FALL, "b": np.append(FALL[:2], 2 * FALL[2:])}, ["a", "b"], {"a": 2}),
        ({"a": FALL, "b": 2 * FALL[::-1]}, ["a", "b"], {}),  # they cross
        ({"a": FALL, "b": FALL, "c": FALL}, ["a = b = c"], {"a": 13, "b": 13}),
        ({"a": FALL, "b": FALL[:-1]}, ["a", "b"], {"a": 12}),  # it ended earlier
        ({"a": np.r_[1, 1, NANS], "b": np.r_[1, np.nan, NANS]}, ["a", "b"], {}),
    ],
)
def test_curves_that_lie_on_each_other_are_seen_and_named(curves, names, hidden):
    """The later one hid the earlier one, and a legend entry had no curve."""
    figure = plots.losses(curves)
    assert legend(figure) == names
    over = [line for line in figure.axes[0].get_lines() if line.get_label() == "_hidden"]
    colours = {line.get_color(): int(np.isfinite(line.get_ydata()).sum()) for line in over}
    assert colours == {labelled(figure)[k].get_color(): n for k, n in hidden.items()}
    assert len({line._unscaled_dash_pattern[0] for line in over}) == len(over)  # in turns


def test_sweeps_that_lie_on_each_other_have_two_stars():
    losses = np.array([3.0, 1.0, 2.0, 4.0])[:, None]
    figure = plots.sensitivity({"adam": (RATES, losses), "adamw": (RATES, losses)})
    stars = [line for line in figure.axes[0].get_lines() if line.get_marker() == "*"]
    assert legend(figure) == ["adam = adamw"]
    assert stars[1].get_markersize() < stars[0].get_markersize()


@pytest.mark.parametrize(
    "values, step",
    [
        ([1.0, np.nan, np.nan], 1),  # nothing of it was drawn
        ([np.nan, np.nan, np.nan], 0),
        ([1.0, 0.5, np.inf], 2),
        ([1.0, 1e9, 1e12], 1),
        ([1.0, np.nan, 0.5], None),  # it came back
        ([1.0, 0.5, 0.2], None),
    ],
)
def test_a_cross_marks_where_a_run_is_lost(values, step):
    figure = plots.losses({"fine": np.ones(3), "run": np.array(values)})
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == ([] if step is None else [step])
    assert all(line.get_color() == labelled(figure)["run"].get_color() for line in crosses)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 12, 100])
@pytest.mark.parametrize("draw", ["losses", "schedules"])
def test_ticks_of_steps_are_whole_numbers(draw, steps):
    given = {"losses": {"a": np.ones(steps + 1)}, "schedules": {"a": lambda t: 0.5}}[draw]
    figure = getattr(plots, draw)(given, *([steps] if draw == "schedules" else []))
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) > 1 and (ticks == ticks.round()).all()


@pytest.mark.parametrize("target, shown", [(0.5, True), (1e-9, False)])
def test_a_target_is_named(target, shown):
    axes = plots.losses({"a": FALL}, target=target).axes[0]
    assert [text.get_text() for text in axes.texts] == ["target 0.5"] * shown


def test_curves_are_named_at_their_ends_and_cropped():
    curves = {"long": 2 * FALL, "same": 2 * FALL, "close": 2.06 * FALL, "short": FALL[:6]}
    figure = plots.losses(curves, ends=True, top=0.9)
    axes = figure.axes[0]
    assert legend(figure) == [] and axes.get_ylim()[1] == 0.9
    assert {t.get_text() for t in axes.texts} == {"long = same", "close", "short"}
    assert all(
        t.get_color() == labelled(figure)[t.get_text()[:5].split(" ")[0]].get_color()
        for t in axes.texts
    )
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_names_of_schedules_say_in_what_they_differ():
    made = [gd.warmup_cosine_decay_schedule(0.0, 1.0, n, 100, end_value=0.1) for n in (5, 10)]
    names = legend(plots.schedules(made, 100))
    assert names == [f"warmup_cosine_decay_schedule(warmup_steps={n})" for n in (5, 10)]


def test_the_style_is_for_other_figures_too():
    with matplotlib.rc_context(plots.style()):
        axes = Figure().subplots()
        (line,) = axes.plot([1.0, 2.0])
    ours = labelled(plots.losses({"a": np.ones(3)}))["a"]
    assert line.get_color() == ours.get_color()
    assert not axes.spines["top"].get_visible()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.schedules({}, 5), "at least one thing to draw"),
        *(
            (lambda n=n: plots.schedules({"a": lambda t: 1.0}, n), f"steps must lie .*, got {n}.")
            for n in (0, 10**15)  # before memory is taken
        ),
        (lambda: plots.schedules({"a": lambda t: jnp.ones(3)}, 5), r"a must .*, got \[6, 3\]"),
        (lambda: plots.losses({"a": np.ones((2, 3, 4))}), r"a must have .*, got \[2, 3, 4\]"),
        (lambda: plots.losses({"a": 1.0}), r"a must have shape \[steps\] or .*, got \[\]"),
        (lambda: plots.losses({"a": np.ones(3)}, band="sd"), "quartiles, range, got 'sd'"),
        (lambda: plots.paths(bowl, {"a": np.ones((4, 3))}), r"a must .*, got \[4, 3\]"),
        (lambda: plots.paths(bowl, {"a": np.ones((4, 2))}, minimizer=[0.0]), r", got \[1\]"),
        (lambda: plots.paths(bowl, {"a": np.ones((4, 2))}, box=(1, 0, 0, 1)), "box must be"),
        (lambda: plots.paths(lambda p: p, {"a": np.ones((4, 2))}), r"fun .*, got \[2\]"),
        (lambda: plots.sensitivity({"a": (RATES, np.ones(4))}), r"\[4, seeds\], got \[4\]"),
        (lambda: plots.sensitivity({"a": (RATES, np.ones((3, 4)))}), r", got \[3, 4\]"),
        (lambda: plots.sensitivity({"a": (-RATES, np.ones((4, 1)))}), "positive, got -1"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("draw", ["schedules", "losses", "paths", "sensitivity"])
def test_drawing_on_given_axes_leaves_style_and_other_axes_alone(draw):
    given = {
        "schedules": ({"a": lambda t: 0.5}, 5),
        "losses": ({"a": np.ones((2, 3))},),
        "paths": (bowl, {"a": np.ones((4, 2))}),
        "sensitivity": ({"a": (RATES, np.ones((4, 2)))},),
    }[draw]
    before = dict(matplotlib.rcParams)
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert getattr(plots, draw)(*given, ax=left) is figure
    assert left.get_lines()
    assert not right.get_lines()
    assert dict(matplotlib.rcParams) == before


def test_save_writes_a_picture_and_nothing_else(tmp_path):
    path = plots.save(plots.losses({"a": np.ones(3)}), tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    plots.save(plots.losses({"b": np.ones(3)}), str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["figure", "replace"])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = plots.losses({"a": np.ones(3)})

    def fail(*args, **kwargs):
        raise OSError("full")

    if broken == "figure":
        figure.savefig = fail
    else:
        monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        plots.save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form, begins", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_save_writes_for_screens_and_papers(tmp_path, form, begins):
    figure = plots.losses({"a": np.ones(3)})
    path = plots.save(figure, tmp_path / f"a.{form}")
    first = path.read_bytes()
    assert first.startswith(begins)
    plots.save(figure, path)
    assert path.read_bytes() == first or form == "SVG"  # names in an SVG are drawn by chance
    if form == "png":  # twice the pixels of a notebook
        width = int.from_bytes(first[16:20], "big")
        assert width == 2 * int.from_bytes(figure._repr_png_()[16:20], "big")


def test_save_refuses_another_format(tmp_path):
    with pytest.raises(ValueError, match=r"end in \.png, \.pdf or \.svg, got .*a\.gif"):
        plots.save(Figure(), tmp_path / "a.gif")


def test_a_figure_shows_itself_and_pickles():
    figure = plots.losses({"a": np.ones(3)})
    assert pickle.loads(pickle.dumps(figure))._repr_png_() == figure._repr_png_()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "gdjax\[lab\]"'):
        plots.losses({"a": np.ones(3)})


def test_drawing_needs_no_pyplot(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it raises
    plots.losses({"a": np.ones(3)})._repr_png_()


@pytest.mark.parametrize("module", [plots, problems])
def test_importing_loads_no_extra(module):
    loaded = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Import):
            loaded |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            loaded.add(node.module.split(".")[0])
    assert "numpy" in loaded
    assert not {"matplotlib", "sklearn", "rich", "tqdm"} & loaded


def test_few_numbers_on_a_logarithmic_axis_are_written_plainly():
    figure = plots.losses({"a": np.linspace(4.4, 1.5, 20)})
    figure.canvas.draw()
    axis = figure.axes[0]
    labels = [*axis.get_yticklabels(), *axis.get_yticklabels(minor=True)]
    told = {label.get_text() for label in labels} - {""}
    assert {"2", "3"} <= told and not any("$" in text for text in told)
