"""The command line: what it writes, what it says, and that a wrong call writes nothing."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import types

import jax
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from gdjax.lab import catalogue, cli_output, cli_race, folder, report
from gdjax.lab.cli import main
from gdjax.lab.problems import PROBLEMS, problem
from gdjax.lab.search import search

FILES = set(report.FILES)
QUICK = ["race", "sgd", "adam(b2=0.99)", "--rates", "0.01,0.1,1.5", "--steps", "20"]
PNG = b"\x89PNG\r\n\x1a\n"


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def raced(tmp_path, capsys):
    folder = tmp_path / "new" / "race"
    code, out, err = run(capsys, *QUICK, "--problem", "quadratic", "--seeds", "2", "--out", folder)
    assert code == 0
    # no terminal: a line for each that ended
    assert [line.split(" %")[0] for line in err.splitlines()] == ["sgd: 50", "adam(b2=0.99): 100"]
    return folder, out


def test_a_race_writes_its_files_and_says_where(raced):
    folder, out = raced
    assert {p.name for p in folder.iterdir()} == FILES
    assert all(name in out for name in FILES) and str(folder) in out
    assert all((folder / f).read_bytes().startswith(PNG) for f in FILES if f.endswith("png"))


def test_the_table_is_plain_and_whole_where_there_is_no_terminal(raced):
    _, out = raced
    assert "\x1b" not in out and "…" not in out
    line = next(line for line in out.splitlines() if "adam(b2=0.99)" in line)
    assert "±" in line and " 0.1 " in line
    assert "Mean ± standard deviation of 2 seeds" in out


def test_the_numbers_are_those_of_a_loop(raced):
    folder, _ = raced
    data = json.loads((folder / "results.json").read_text())
    task = problem("quadratic")
    start = task.init(jax.random.split(jax.random.key(1))[0])
    result = gd.minimize(task.loss, start, gd.adam(0.1, b2=0.99), 20)
    expected = float(task.loss(result.params))
    ours = data["optimizers"]["adam(b2=0.99)"]
    assert ours["final_losses"][1][1] == pytest.approx(expected, rel=1e-5)
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 2
    row = next(r for r in rows if (r["rate"], r["seed"]) == ("0.1", "1") and "b2" in r["optimizer"])
    assert float(row["final_loss"]) == pytest.approx(expected, rel=1e-5)
    with open(folder / "curves.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["optimizer"] == "adam(b2=0.99)"]
    best = {row["name"]: row["best_rate"] for row in data["table"]}["adam(b2=0.99)"]
    assert len(rows) == 2 * 21 and {float(row["rate"]) for row in rows} == {best}
    assert [int(row["step"]) for row in rows[:21]] == list(range(21))


def test_the_json_says_how_to_do_it_again(raced):
    folder, _ = raced
    data = json.loads((folder / "results.json").read_text())
    assert data["versions"]["gdjax"] == gd.__version__
    assert data["command"].startswith("gdjax race sgd 'adam(b2=0.99)' --rates 0.01,0.1,1.5")
    assert data["rates"] == [0.01, 0.1, 1.5] and data["seeds"] == [0, 1] and data["steps"] == 20
    best = {row["name"]: row["best_rate"] for row in data["table"]}
    for name, made in (("sgd", gd.sgd), ("adam(b2=0.99)", lambda r: gd.adam(r, b2=0.99))):
        assert gd.build(data["optimizers"][name]["spec"]) == made(best[name])
        assert np.shape(data["optimizers"][name]["final_losses"]) == (3, 2)


def test_what_is_not_finite_is_null(tmp_path, capsys):
    words = ("race", "sgd", "--problem", "parabola", "--rates", "1e20,1e30", "--steps", 20)
    code, out, _ = run(capsys, *words, "--out", tmp_path)
    data = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert code == 0 and data["optimizers"]["sgd"]["final_losses"] == [[None], [None]]
    assert "2 of 2" in out and {p.name for p in tmp_path.iterdir()} == FILES


@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_pictures_of_a_race_in_which_only_some_diverge(tmp_path, capsys):
    words = ("race", "sgd", "adam", "--problem", "parabola", "--rates", "0.1,1.5", "--steps", 20)
    code, out, _ = run(capsys, *words, "--out", tmp_path)
    assert code == 0 and "1 of 2" in out and {p.name for p in tmp_path.iterdir()} == FILES


@pytest.mark.slow
def test_a_race_on_digits(tmp_path, capsys):
    words = ("race", "adam", "--rates", "1e-2:1:3", "--steps", 30, "--out", tmp_path)
    code, out, _ = run(capsys, *words)
    assert code == 0 and "Neither start nor batches depend on chance" in out
    row = next(line for line in out.splitlines() if " adam " in line)
    assert "±" not in row and "0.9" in row
    data = json.loads((tmp_path / "results.json").read_text())
    assert np.shape(data["optimizers"]["adam"]["test_accuracy"]) == (3, 1)


@pytest.mark.parametrize(
    "words, told",
    [
        (["race", "adamm"], "Did you mean adam"),
        (["race", "adam("], "must be a name, or a call"),
        (["race", "adam(b1=open('x'))"], "got 'open'"),
        (["race", "adam(b1=2)"], "b1 must lie in [0, 1)"),
        (["race", "adam(learning_rate=1)"], "without learning_rate"),
        (["race", "--problem", "digitz"], "Did you mean digits"),
        (["race", "--rates", "1:0.1:3"], "LOW:HIGH:COUNT"),
        (["race", "--steps", "0"], "steps must be a positive integer"),
        (["race", "--steps", "x"], "--steps"),
        (["race", "--seeds", "-1"], "seeds must be a positive integer"),
        (["race", "--frobnicate"], "--frobnicate"),
        (["plot", "cosine_decay_schedul(1, 2)"], "Did you mean cosine_decay_schedule"),
        (["plot", "adam(0.1)"], "a call that makes a schedule"),
        (["plot", "constant_schedule"], "value"),
        (["plot", "constant_schedule(1)", "--steps", "0"], "steps must lie between 1 and"),
        (["plot", "constant_schedule(1)", "--out", "new/picture.gif"], "must end in .png"),
        (["show", "adamm"], "Did you mean adam"),
        (["list", "adamm"], "Did you mean adam"),
        (["show", "AdamW"], "gdjax: name: it must be one that gdjax list shows, got 'AdamW'. Did"),
        (["rce"], "invalid choice"),
        (["race", "--out", ""], "--out must be a folder, got ''"),
        (["race", "adam", "--sweep", "b2"], "--sweep must be NAME=VALUE"),
        (["race", "adam", "--sweep", "b2=x"], "--sweep must be NAME=VALUE"),
        (["race", "adam", "--sweep", "b3=0.9"], "b3"),
        (["race", "adam", "--sweep", "b2=2"], "b2 must lie in [0, 1)"),
        (["race", "--budget", "3", "--sweep", "b2=0.9"], "itself, got --sweep too"),
        (["race", "--budget", "3", "--rates", "0.1"], "itself, got --rates too"),
        (["race", "--budget", "3"], "must be one of charlm, charlm_small, got 'digits'"),
        (["race", "--together", "3"], "--together is for --budget"),
        (["race", "chain(clip(1.0), adam(RAT))"], "Write RATE for the learning rate: chain"),
        (["race", "chain(clip(1.0), adam(RATE), RAT)"], "must be a name, or a call"),
        (["race", "constant_schedule(RATE)"], "a call that makes a transformation"),
        (["race", "--problem", "nowhere_at_all:problem"], "There is no module nowhere_at_all"),
        (["race", "--problem", "json:lods"], "Did you mean loads"),
        (["race", "--problem", "json:loads"], "Write loads = Problem.of(loss, params) there"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(words, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "") and told in err
    assert err.startswith("gdjax: ") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [QUICK, ["plot", "constant_schedule(1)"]], ids=["race", "plot"])
def test_a_folder_that_cannot_be_written(words, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "x" / "a.png"
    code, out, err = run(capsys, *words, "--out", place)
    assert (code, out) == (2, "") and "must be a folder that can be written" in err
    assert err.count("\n") == 1 and (tmp_path / "file").read_text() == "mine"


def test_what_fails_leaves_old_files_alone(tmp_path, capsys, monkeypatch):
    old = tmp_path / "results.csv"
    old.write_text("mine")
    assert run(capsys, "race", "adamm", "--out", tmp_path)[0] == 2

    def full(*args):
        raise OSError(28, "No space left on device")

    files = {"a.png": b"1", "results.csv": b"2"}
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.write(tmp_path, files)
    assert list(tmp_path.iterdir()) == [old] and old.read_text() == "mine"


def test_an_interrupted_race_leaves_nothing(tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("gdjax.lab.race.race", stop)
    code, _, err = run(capsys, *QUICK, "--out", tmp_path / "a" / "b")
    assert code == 130 and "nothing was written" in err and list(tmp_path.iterdir()) == []


SMALL = ["race", "sgd", "adam", "--problem", "bowl", "--rates", "0.01,0.1", "--steps", "5"]


def test_an_interrupted_race_goes_on(tmp_path, capsys, monkeypatch):
    """What had ended before Ctrl-C was lost."""
    from gdjax.lab import race

    begun, runs = [], race._run

    def interrupted(name, *rest):
        begun.append(name)
        if begun == ["sgd", "adam"]:
            raise KeyboardInterrupt
        return runs(name, *rest)

    monkeypatch.setattr(race, "_run", interrupted)
    words = (*SMALL, "--out", tmp_path / "out")
    code, _, err = run(capsys, *words)
    assert code == 130 and err.endswith(
        f"interrupted, 1 run that ended is in {tmp_path}/out/unfinished.jsonl; "
        "the same command goes on.\n"
    )
    code, out, _ = run(capsys, *words)
    assert code == 0 and begun == ["sgd", "adam", "adam"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES
    first = json.loads((tmp_path / "out" / "results.json").read_text())
    run(capsys, *SMALL, "--out", tmp_path / "whole")
    whole = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert begun == ["sgd", "adam", "adam", "sgd", "adam"]
    for name in ("sgd", "adam"):  # the numbers are those of a race in one go
        for what in ("rates", "final_losses", "steps_to_target", "diverged"):
            assert first["optimizers"][name][what] == whole["optimizers"][name][what]


@pytest.mark.parametrize("change", [["--steps", "6"], ["--rates", "0.1,0.2"], ["--seeds", "2"]])
def test_what_ended_of_another_race_is_not_taken(change, tmp_path, capsys, monkeypatch):
    from gdjax.lab import race
    from gdjax.lab.unfinished import Unfinished

    words = ["race", "sgd", "--problem", "quadratic", *SMALL[5:], "--out", str(tmp_path)]
    monkeypatch.setattr(Unfinished, "remove", lambda self: None)
    assert run(capsys, *words)[0] == 0
    begun, runs = [], race._run
    monkeypatch.setattr(race, "_run", lambda *given: begun.append(given[0]) or runs(*given))
    assert run(capsys, *words)[0] == 0 and begun == []  # the same one is
    assert run(capsys, *words, *change, "--replace")[0] == 0 and begun == ["sgd"]


def test_a_folder_is_not_overwritten_in_silence(tmp_path, capsys):
    words = (*SMALL, "--out", tmp_path)
    assert run(capsys, *words)[0] == 0
    before = (tmp_path / "results.csv").read_bytes()
    code, out, err = run(capsys, "race", "lion", *SMALL[3:], "--out", tmp_path)
    assert (code, out) == (2, "") and "got the results of 'gdjax race sgd adam" in err
    assert "Write --out DIR for another folder, or --replace." in err
    assert (tmp_path / "results.csv").read_bytes() == before
    code, out, _ = run(capsys, *words)  # the same command
    assert code == 0 and "Replaced the results, wrote curves.png" in out
    assert run(capsys, "race", "lion", *SMALL[3:], "--out", tmp_path, "--replace")[0] == 0
    (tmp_path / "results.json").write_text("mine")
    code, _, err = run(capsys, *words)
    assert code == 2 and "got curves.png, sensitivity.png, results.json" in err


def test_numbers_to_stdout(tmp_path, capsys):
    code, out, _ = run(capsys, *SMALL, "--json", "--out", tmp_path)
    assert code == 0 and json.loads(out) == json.loads((tmp_path / "results.json").read_text())


MINE = """
import jax.numpy as jnp
from gdjax.lab.problems import Problem

loss = lambda p: jnp.sum(p["w"] ** 2)
problem = Problem.of(loss, {"w": jnp.ones((2, 3))}, steps=20)
def made(steps=10):
    return Problem.of(loss, {"w": jnp.ones((2, 3))}, steps=steps)
"""


@pytest.mark.parametrize("name, steps", [("problem", 20), ("made", 10)])
def test_a_problem_of_ones_own(name, steps, tmp_path, capsys, monkeypatch):
    module = f"mine_{name}"
    (tmp_path / f"{module}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    chain = "chain(clip_by_global_norm(1.0), adam(RATE))"
    words = ("race", "sgd", chain, "--problem", f"{module}:{name}", "--rates", "0.1,0.3", "--json")
    code, out, err = run(capsys, *words)
    data = json.loads(out)
    assert code == 0 and data["steps"] == steps and list(data["optimizers"]) == ["sgd", chain]
    assert data["table"][0]["steps_to_target"] is None  # there is no target
    assert str(tmp_path) not in sys.path


def test_a_sweep_of_further_hyperparameters(tmp_path, capsys):
    words = [*SMALL[:3], "--sweep", "b1=0.5,0.9", "--sweep", "eps=1e-8,1e-3", *SMALL[3:]]
    code, out, _ = run(capsys, "race", "adam", *words[3:], "--json", "--out", tmp_path)
    names = [f"adam(b1={b}, eps={e})" for b in (0.5, 0.9) for e in (1e-8, 1e-3)]
    assert code == 0 and list(json.loads(out)["optimizers"]) == names


def test_schedules_of_the_rate(tmp_path, capsys):
    text = "sgd(linear_to_zero(RATE, 5))"
    code, out, _ = run(capsys, "race", text, *SMALL[3:], "--json", "--out", tmp_path)
    spec = json.loads(out)["optimizers"][text]["spec"]
    assert code == 0 and gd.build(spec) == gd.sgd(gd.linear_to_zero(0.1, 5))


def test_muon_without_matrices_is_said(tmp_path, capsys):
    """It raced as Adam without a word."""
    code, out, _ = run(capsys, "race", "muon", *SMALL[3:], "--out", tmp_path)
    assert code == 0
    assert "muon: there were no matrices for its part muon; its other parts trained all." in out


@pytest.mark.parametrize("missing, words", [("matplotlib", QUICK), ("rich.console", ["list"])])
def test_without_the_extras(missing, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (missing, missing.split(".")[0]):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert 'pip install "gdjax[lab]"' in err and list(tmp_path.iterdir()) == []


def test_list(capsys):
    code, out, _ = run(capsys, "list")
    names = [line.split()[0] for line in out.splitlines()[1:]]
    everything = [*catalogue.entries(), *catalogue.functions()]
    assert code == 0 and sorted(names) == sorted(e.name for e in everything)
    assert "\x1b" not in out and "…" not in out
    _, out, _ = run(capsys, "list", "scale_by_*")
    assert all(line.startswith("scale_by_") for line in out.splitlines()[1:])
    _, out, _ = run(capsys, "list", "DECOUPLED")
    assert "adamw" in out and "Loshchilov and Hutter, 2017" in out


def own(kind=None):
    return [e for e in catalogue.entries() if kind in (None, e.kind)]


@pytest.mark.parametrize("entry", own(), ids=lambda e: e.name)
def test_show_every_entry(entry, capsys):
    code, out, err = run(capsys, "show", entry.name)
    assert (code, err) == (0, "")
    assert out.startswith(entry.signature) and entry.kind in out
    assert all(line.strip() in out for line in entry.formula.splitlines())
    assert entry.summary.split()[0] in out and entry.summary
    assert all(parameter in out for parameter in factories()[entry.name].signature.parameters)
    if "Parts:" in out:
        assert "State:" in out


def test_show_adamw(capsys):
    _, out, _ = run(capsys, "show", "adamw")
    for told in ("weight_decay=0.0001", "θ ← θ − η·", "scale_by_adam(b1=0.9", "1711.05101"):
        assert told in out
    assert "ScaleByAdamState(count, mu, nu)" in out and out.index("Parts:") < out.index("State:")


def test_plot(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nested = "join_schedules([linear_schedule(0.0, 1.0, 5), constant_schedule(1.0)], [5])"
    words = ("plot", "cosine_decay_schedule(1e-3, 100, alpha=0.1)", nested)
    code, out, _ = run(capsys, *words)
    assert code == 0 and out == "Wrote schedule.png\n"
    assert (tmp_path / "schedule.png").read_bytes().startswith(PNG)
    code, _, _ = run(capsys, *words, "--steps", 30, "--out", "a/b.png")
    assert code == 0 and (tmp_path / "a" / "b.png").exists()


@pytest.mark.slow
def test_plot_reaches_beyond_the_last_step(tmp_path, capsys, monkeypatch):
    seen = []
    drawn = gd.plots.schedules
    monkeypatch.setattr("gdjax.plots.schedules", lambda s, n: seen.append(n) or drawn(s, n))
    for text in (
        "cosine_decay_schedule(1, 200)",
        "piecewise_constant_schedule(1, {40: 0.1, 90: 0.1})",
    ):
        assert run(capsys, "plot", text, "--out", tmp_path / "a.png")[0] == 0
    assert run(capsys, "plot", "constant_schedule(0.5)", "--out", tmp_path / "a.png")[0] == 0
    assert seen == [220, 99, 1000]


@pytest.mark.parametrize(
    "words, missing, told",
    [
        (["bench"], "optax", 'optax is missing; run pip install "optax".'),  # not of [lab]
        (["list"], "rich.console", 'rich.console is missing; run pip install "gdjax[lab]".'),
        (["--print-completion", "bash"], "shtab", 'run pip install "shtab"'),
    ],
)
def test_a_missing_package_is_named_with_its_extra(words, missing, told, capsys, monkeypatch):
    for name in (missing, missing.split(".")[0]):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "told, lines",
    [
        (
            [("a: compiling", 0), ("a", 5), ("a", 10), ("b: compiling", 10), ("b", 20)],
            ["a: 50", "b: 100"],
        ),
        ([("x({4: 1}): compiling", 0), ("x({4: 1})", 5), ("x({4: 1})", 20)], ["x({4: 1}): 100"]),
        (
            [("adamw, seed 0", 0), ("adamw, seed 1", 15), ("adamw, seed 1", 20)],
            ["adamw, seed 0: 75", "adamw, seed 1: 100"],
        ),
        (
            [("a", 5), ("a", 20), ("a: compiling", 20)],
            ["a: 100"],
        ),  # a range is widened at the very end
    ],
)
def test_a_line_for_each_that_ended_where_there_is_no_terminal(told, lines, capsys):
    with cli_output.progress() as progress:
        for doing, done in told:
            progress(doing, done, 20)
    found = [line.split(" %")[0] for line in capsys.readouterr().err.splitlines()]
    assert found == lines


def test_completion_is_what_shtab_writes(capsys, monkeypatch):
    shtab = types.SimpleNamespace(complete=lambda parser, shell: f"{shell} {parser.prog}\n")
    monkeypatch.setitem(sys.modules, "shtab", shtab)
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", "zsh"])
    assert ended.value.code == 0 and capsys.readouterr().out == "zsh gdjax\n"


@pytest.mark.parametrize("width", [80, 120])
def test_list_fits_a_terminal(width, capsys, monkeypatch):
    """At 80 columns the words were in lines of 11 characters, with the oracles beside them."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = run(capsys, "list", "adam")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= width and "NumPy" not in out
    assert any(line.startswith("adamw ") for line in lines)
    assert len(lines) < 4 * len(search("adam"))
    _, out, _ = run(capsys, "list")
    assert {"optimizer", "function"} <= set(re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines())


def test_show_says_with_what_it_agrees(capsys):
    _, out, _ = run(capsys, "show", "adamw")
    assert "Agrees with:" in out and "torch" in out.split("Agrees with:")[1]


def test_list_in_markdown_takes_a_pattern(capsys):
    _, out, _ = run(capsys, "list", "--markdown", "adamw")
    assert "`adamw`" in out and "`sgd`" not in out
    _, out, _ = run(capsys, "list", "--markdown")
    assert out == catalogue.markdown()


def test_without_a_command_there_is_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0 and "gdjax show adamw" in capsys.readouterr().out


CALL = "import sys; from gdjax.lab.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("words", [["--help"], ["race", "--help"], ["programs", "--help"]])
def test_help_fits_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(words)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["plot", "--help"]])
def test_help_loads_no_jax(words):
    code = f"import atexit, sys; atexit.register(lambda: print('jax' in sys.modules)); {CALL[12:]}"
    call = [sys.executable, "-c", code, *words]
    out = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "False" and len(out) > 20


def test_python_m_gdjax_is_the_command():
    call = [sys.executable, "-m", "gdjax", "--version"]
    out = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    assert out.startswith(f"gdjax {gd.__version__} (jax {jax.__version__})")


def test_a_reader_that_has_enough_is_no_error():
    """`gdjax show adam | head -1`."""
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-c", CALL, "show", "adam"]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_problems_named_in_help_are_those_there_are():
    assert list(cli_race.PROBLEMS) == list(PROBLEMS)


def test_help_and_version(capsys):
    for words, told in (
        (["--version"], f"gdjax {gd.__version__}"),
        (["--help"], "gdjax show adamw"),
        (["race", "--help"], "digits_network"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0 and told in capsys.readouterr().out


def test_lists_load_nothing_heavy():
    heavy = "('matplotlib', 'sklearn', 'tqdm', 'optax')"
    code = f"""
import sys
from gdjax.lab.cli import main
main(["list", "adam"])
print([name for name in {heavy} if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("named, then", [("cuda", "cuda,cpu"), ("cuda,cpu", "cuda,cpu"), ("", "")])
def test_a_race_has_the_cpu_beside_what_is_named(named, then, tmp_path):
    """Its bar is drawn by callbacks, which JAX sends by way of the CPU."""
    pytest.importorskip("matplotlib")  # of the extra [lab]
    code = """
import jax
from gdjax.lab import cli, race
def raced(*_):
    raise OSError(jax.config.jax_platforms or "")
race.race = raced
cli.main(["race", "sgd"])
"""
    environment = {**os.environ, "JAX_PLATFORMS": named}
    call = [sys.executable, "-c", code]
    how = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path}
    told = subprocess.run(call, env=environment, **how)
    assert told.stderr.endswith(f"gdjax: {then}\n")


def test_read_evaluates_nothing():
    assert catalogue.read("adam(learning_rate=0.1)") == gd.adam(0.1)
    assert catalogue.read(" sgd ", learning_rate=0.1) == gd.sgd(0.1)
    made = catalogue.read("adamw(cosine_decay_schedule(-1.5e-3, 10), b1=0.5)")
    assert made == gd.adamw(gd.cosine_decay_schedule(-1.5e-3, 10), b1=0.5)
    bad = ["1 + 1", "gd.adam(0.1)", "adam(**{})", "adam(*[0.1])", "adam(x)", "(lambda: 0)()", ""]
    for text in [*bad, "adam(0.1", "adam(0.1).init", "adam(2**9)", "f''()", "(" * 500, "a\0b"]:
        with pytest.raises(ValueError):
            catalogue.read(text)


@pytest.mark.parametrize(
    "text, told",
    [
        ("Kingma and Ba, Adam: a method, 2014, https://arxiv.org/abs/1", "Kingma and Ba, 2014"),
        (
            "Duchi, Hazan and Singer, A, b and c, 2011, https://j.org",
            "Duchi, Hazan and Singer, 2011",
        ),
        ("Hinton, Neural networks for machine learning, lecture 6e, 2012", "Hinton, 2012"),
        ("Foret et al., Sharpness, flatness and so on, 2020, https://x.y", "Foret et al., 2020"),
        ("Polyak, Some methods, 1964, https://x.y; B and C, D, 2013", "Polyak, 1964"),
        ("Polyak, 1964, and Nesterov, 1983, in the form of S et al., On, 2013", "Polyak, 1964"),
        (
            "You, Li, Reddi, Hseu et al., Large batch, 2019, https://x",
            "You, Li, Reddi, Hseu et al., 2019",
        ),
        ("", ""),
    ],
)
def test_references_are_shortened(text, told):
    assert catalogue.reference(text) == told


def test_the_catalogue_in_markdown():
    text = catalogue.markdown()
    assert all(f"| `{e.name}` |" in text for e in own())
    row = next(line for line in text.splitlines() if line.startswith("| `adamw`"))
    source, oracles, formula = row.split(" | ")[2:]
    assert formula == "proven |"
    assert source == "[Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101)"
    assert "torch 2.13.0" in oracles and "NumPy" in oracles
    for line in text.splitlines():
        assert line == "" or line.replace("\\|", "").count("|") == 6


def test_kinds():
    kinds = {e.name: e.kind for e in own()}
    assert kinds["adamw"] == "optimizer" and kinds["scale_by_adam"] == "transformation"
    assert kinds["clip"] == "transformation" and kinds["cosine_decay_schedule"] == "schedule"


def test_prove_prints_formula_program_and_verdict(capsys):
    code, out, err = run(capsys, "prove", "lion(0.1)")
    assert (code, err) == (0, "")
    assert "θ ← θ − η·(sign(b1·m + (1 − b1)·g) + λθ)" in out and "sign k" in out
    assert out.splitlines()[-1].startswith("proven in ")
    assert "sign k" not in run(capsys, "prove", "lion(0.1)", "--brief")[1]
    code, out, _ = run(capsys, "prove", "scale_by_param_block_norm", "--shape", "2", "--steps", "1")
    assert code == 0 and out.splitlines()[-1].startswith("proven in ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lions"], "must be one that gdjax list shows"),
        (["muon"], "muon is proven by identities of matrices"),
        (["masked(sgd(0.1), True)"], "masked has no formula in its docstring"),
        (["lion", "--steps", "none"], "invalid int value"),
    ],
)
def test_what_prove_cannot_do_is_one_line(capsys, words, message):
    code, out, err = run(capsys, "prove", *words)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
