"""The ladder of sizes: text of a tarball, carried settings, resumed runs, the rate that moved."""

from __future__ import annotations

import tarfile

import jax
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import charlm, ladder, rungs, trials
from gdjax.lab.cli import main
from gdjax.lab.ladder import Rung
from gdjax.lab.sources import sources

WORDS = "int main(void)\n{\n\treturn é0;\n}\n" * 40
BASE, LARGER = Rung("1", 1, 32, 6, 3), Rung("3", 2, 64, 6, 3)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for i in range(12):
        folder = root / "pack-1" / f"dir{i:02}" / "sub"
        folder.mkdir(parents=True)
        (folder / "b.c").write_text(WORDS + f"// {i}\n")
        (folder / "a.h").write_text("// first\n")
        (folder / "no.txt").write_text("not a source")
    with tarfile.open(root / "pack.tar.xz", "w:xz") as file:
        file.add(root / "pack-1", "pack-1")
    return root


@pytest.fixture(scope="module")
def text(tree):
    return sources(tree / "pack.tar.xz", 100_000)


def test_sources_are_read_in_order_and_split_by_directory(tree, text):
    read = "".join(text.alphabet[i] for i in text.codes)
    assert read.startswith("// first\nint main") and "\treturn 0;" in read
    assert "not a source" not in read
    train, validate = text.parts
    assert text.train == len(train) and len(train) + len(validate) == len(text.codes)
    assert len(validate) % (len(text.codes) // 12) < 40  # whole directories
    assert sources(tree / "pack-1", 100_000).digest == text.digest
    assert text._replace(train=text.train - 1).digest != text.digest


def test_no_first_folder_fills_the_text(tree):
    short = sources(tree / "pack-1", 16 * 20)  # room for the .h file alone
    assert "".join(short.alphabet[i] for i in short.codes) == "// first\n" * 12


@pytest.mark.parametrize("make, told", [("none", "two directories"), ("file", "or a tarball")])
def test_what_is_no_tree_of_sources(make, told, tmp_path):
    (tmp_path / "file").write_text("no tarball")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=told):
        sources(tmp_path / make)


def test_rungs_have_their_parameters():
    for name, rung in ladder.RUNGS.items():
        assert abs(rung.parameters / (1e6 * float(name)) - 1) < 0.1
        shape = rung.shape(ladder.BASE)
        assert shape.width == 32 * shape.heads
        read = rung.steps * rung.batch * rung.context
        assert read == pytest.approx(rung.parameters / 4, rel=0.02)


def test_at_the_base_it_is_the_plain_model(text):
    shape = BASE.shape(BASE)
    assert shape[5:] == (1.0, 1.0)
    plain = charlm.charlm(text, shape)
    params = ladder.problem(BASE, text, BASE).init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, params, plain.init(jax.random.key(0)))


@pytest.mark.parametrize("name", ladder.OPTIMIZERS)
def test_carried_rates_of_each_group(name, text):
    """What is moved in the first step, by group, is the factor of the rate times the plain one."""
    params = ladder.problem(LARGER, text, BASE).init(jax.random.key(0))
    grads = jax.tree.map(lambda x: 1e3 * jax.random.normal(jax.random.key(1), x.shape), params)
    space = ladder.OPTIMIZERS[name]
    setting = space.settings(1)[0] | {"weight_decay": 0.0}

    def moves(space):
        tx = space.make(1000, **setting)
        state = tx.init(params)
        for _ in range(2):  # the first rate of a warm-up is 0
            updates, state = gd.core.engine.transformation.call_update(
                tx, grads, state, params, {"value": 1.0}
            )
        return {
            path: float(np.abs(np.asarray(x)).mean())
            for path, x in zip(gd.core.rule.tree.paths(params), jax.tree.leaves(updates))
        }

    wide = moves(ladder.spaces([name], LARGER, BASE)[name])
    plain = moves(space)
    ratio = {path: wide[path] / plain[path] for path in wide}
    inner = 0.5 if name in ("adamw", "schedule_free_plus") else 1.0
    for path, x in ratio.items():
        hidden = path.rsplit("/", 1)[-1] in ("qkv", "proj", "up", "down")
        assert x == pytest.approx(inner if hidden else 1.0, rel=1e-3), path


def run(octave, loss, seed=1, name="adamw"):
    setting = rungs.scaled({"learning_rate": 0.01}, octave)
    about = {"problem": "ladder_3", "name": name, "seed": seed, "setting": setting}
    return about | {"losses": [4.0, loss]}


@pytest.mark.parametrize(
    "losses, octaves, further",
    [
        ({-0.5: 2.0, 0.0: 1.0, 0.5: 2.0}, 0.0, None),
        ({-0.5: 1.0, 0.0: 1.5, 0.5: 2.0}, None, -1.0),
        ({-1.0: 1.2, -0.5: 1.0, 0.0: 1.5, 0.5: 2.0}, -0.5, None),
        ({-0.5: 2.0, 0.0: 1.5, 0.5: 1.0, 1.0: 0.5}, None, None),  # beyond: no further
        ({-0.5: 2.0, 0.0: 1.5, 0.5: None}, 0.0, None),
    ],
)
def test_the_rate_that_moved(losses, octaves, further):
    runs = [run(*one) for one in losses.items()]
    found, means = rungs.moved(runs, "ladder_3", "adamw", {"learning_rate": 0.01})
    assert (found, rungs.outermost(means)) == (octaves, further)
    assert rungs.moved(runs, "ladder_3", "muon", {"learning_rate": 0.01}) == (None, {})


@pytest.mark.slow
def test_the_command_resumes_and_says_what_was_not_run(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Rung, "steps", property(lambda self: 10))
    monkeypatch.setattr(ladder, "RUNGS", {"1": BASE, "3": LARGER, "10": LARGER})
    for function in (ladder.climb, ladder.problem, ladder.carried, ladder.spaces):
        monkeypatch.setattr(
            function,
            "__defaults__",
            (*function.__defaults__[:-1], BASE),  # type: ignore
        )
    out = tmp_path / "out"
    words = ["ladder", "1", "3", "--text", str(tree / "pack.tar.xz"), "--budget", "2"]
    words += ["--seeds", "2", "--out", str(out)]
    assert main(words) == 0
    file = out / "runs.jsonl"
    before = file.read_text()
    assert main(words) == 0 and file.read_text() == before
    told = capsys.readouterr().out
    assert "not run" in told and "schedule_free_plus" in told
    runs = trials.load(file)
    assert {r["problem"] for r in runs} == {"ladder_1", "ladder_3"}
    assert all(r["digest"].startswith(sources(tree / "pack.tar.xz").digest) for r in runs)
    searched = [r for r in runs if r["seed"] == 0]
    assert len(searched) == 8 and {r["problem"] for r in searched} == {"ladder_1"}
    assert main(["ladder", "--out", str(out)]) == 0 and file.read_text() == before
    words[4] = str(tree)
    assert main(words) == 2 and "runs on one text" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, told",
    [
        (["2"], "RUNG must be one of 1, 3, 10, 30, 124, got 2"),
        (["1", "--text", "{tree}", "--optimizers", "muom"], "Did you mean muon"),
        (["1", "--text", "{tree}", "--budget", "0"], "budget must be a positive integer"),
        (["1", "--text", "{tree}", "--seeds", "0"], "seeds must be a positive integer"),
        (["1", "--text", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_call_is_one_line(words, told, tree, tmp_path, capsys):
    words = [word.format(tree=tree / "pack-1") for word in words]
    assert main(["ladder", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
