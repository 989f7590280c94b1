"""The transformer on characters, and trials: who needs fewer steps, said with what certainty."""

from __future__ import annotations

import json
import math
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.lab import charlm, charlm_configs, results, trials
from gdjax.lab.charlm import Shape
from gdjax.lab.cli import main
from gdjax.lab.race import race
from gdjax.lab.trials import Contestant, below, outcomes

TINY = Shape(layers=2, heads=2, width=8, context=6, batch=3)
KEY = jax.random.key(0)
WORDS = "the quick brown fox jumps over the lazy dog, and the dog sleeps.\n" * 30


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "words.txt"
    file.write_text(WORDS)
    return file


@pytest.fixture(scope="module")
def tiny(path):
    return charlm.charlm(path, TINY)


def test_the_library_is_one_text_of_ascii():
    text = charlm.library()
    assert text is charlm.library() and text.digest == charlm.library.__wrapped__().digest
    assert len(text.alphabet) == 96 and text.codes.max() < 96 and len(text.codes) > 1_000_000
    head = "".join(text.alphabet[i] for i in text.codes[:40])
    import argparse
    import inspect

    assert inspect.getsource(argparse).startswith(head)
    train, validate = text.parts
    assert len(validate) == len(text.codes) - len(train) == math.ceil(len(text.codes) / 10)


def test_a_text_of_ones_own(path, tmp_path):
    text = charlm.read(path)
    assert (text.name, text.alphabet) == ("words.txt", "".join(sorted(set(WORDS))))
    assert "".join(text.alphabet[i] for i in text.codes) == WORDS
    other = tmp_path / "other.txt"
    other.write_text(WORDS.replace("fox", "fex"))
    assert charlm.read(other).digest != text.digest == charlm.read(path).digest


def test_what_is_no_text_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="charlm: '.*none.txt' must be a file that can be"):
        charlm.charlm(tmp_path / "none.txt")
    (tmp_path / "short.txt").write_text("short")
    with pytest.raises(ValueError, match="more than 650 characters, got 5 in short.txt"):
        charlm.charlm(tmp_path / "short.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="must be UTF-8"):
        charlm.charlm(tmp_path / "bytes")


def test_without_the_sources_of_python_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(charlm.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="--text FILE"):
        charlm.library.__wrapped__()


def test_the_start_knows_nothing_and_gradients_fit(tiny):
    params = tiny.init(KEY)
    blocks = params["blocks"]
    assert len(blocks) == 2 and blocks[0]["qkv"].shape == (8, 24)
    value, grad = jax.jit(jax.value_and_grad(tiny.loss))(params, None)
    assert float(value) == pytest.approx(math.log(len(set(WORDS))), rel=0.02)
    assert jax.tree.map(jnp.shape, grad) == jax.tree.map(jnp.shape, params)
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grad))


def test_the_setting_has_eight_hundred_thousand_parameters():
    problem = charlm.charlm()
    shapes = jax.eval_shape(problem.init, KEY)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == 808_064
    assert problem.digest == charlm.library().digest


def plain(params, tokens, heads):
    """The loss of one window, by loops over positions and heads, in float64."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

    def norm(x, scale):
        x = x - x.mean()
        return x / math.sqrt((x * x).mean() + 1e-5) * scale

    embed = p["embed"]["characters"]
    xs = [embed[t] + p["embed"]["positions"][i] for i, t in enumerate(tokens[:-1])]
    for w in p["blocks"]:
        qkv = [norm(x, w["norms"][0]) @ w["qkv"] for x in xs]
        width = len(xs[0])
        size = width // heads
        mixed = []
        for i in range(len(xs)):
            out = []
            for h in range(heads):
                of = lambda row, j, at=h * size, w=width, n=size: row[j * w + at :][:n]
                scores = [of(qkv[i], 0) @ of(qkv[j], 1) / math.sqrt(size) for j in range(i + 1)]
                weights = np.exp(scores) / np.exp(scores).sum()
                out.append(sum(a * of(qkv[j], 2) for j, a in enumerate(weights)))
            mixed.append(np.concatenate(out))
        xs = [x + m @ w["proj"] for x, m in zip(xs, mixed)]
        hidden = [norm(x, w["norms"][1]) @ w["up"] for x in xs]
        gelu = [
            np.array([v * NormalDist().cdf(v) for v in h])  # x·Φ(x)
            for h in hidden
        ]
        xs = [x + h @ w["down"] for x, h in zip(xs, gelu)]
    losses = []
    for x, told in zip(xs, tokens[1:]):
        z = embed @ norm(x, p["norm"])
        losses.append(math.log(np.exp(z).sum()) - z[told])
    return np.mean(losses)


def test_it_computes_what_it_says(tiny):
    keys = iter(jax.random.split(KEY, 99))
    noisy = lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape)
    params = jax.tree.map(noisy, tiny.init(KEY))
    batch = tiny.batches(KEY)(4)
    expected = np.mean([plain(params, row, TINY.heads) for row in np.asarray(batch)])
    assert float(tiny.loss(params, batch)) == pytest.approx(expected, rel=1e-5)


def test_batches_are_windows_of_what_trains_and_validation_is_of_the_rest(tiny):
    draw = tiny.batches(KEY)
    first, again, other = draw(1), draw(1), draw(2)
    assert first.shape == (3, 7) and (first == again).all() and (first != other).any()
    text = "".join(sorted(set(WORDS)))
    train = WORDS[: len(WORDS) * 9 // 10]
    assert all("".join(text[i] for i in row) in train for row in np.asarray(first))


@pytest.mark.slow
def test_it_races_one_run_after_another(tiny):
    told = []
    given = {"free": gd.schedule_free_adamw(0.0)}
    results = race(given, tiny, [0.01, 0.03], 2, 20, lambda *what: told.append(what[1]))
    assert results.runs[0].losses.shape == (2, 2, 21)
    assert told == sorted(told) and told[-1] == 20 and len(told) > 50
    # As a trial, which is another program; averages are measured where an optimizer keeps them.
    alone = trials.attempt(tiny, Contestant("one", 20, gd.schedule_free_adamw(0.03)), 1, every=5)
    np.testing.assert_allclose(results.runs[0].losses[1, 1, ::5], alone["losses"], atol=2e-5)


def contestants(steps=6):
    return [Contestant("adamw", steps, gd.adamw(0.03)), Contestant("sgd", steps // 2, gd.sgd(0.1))]


def numbers(runs):
    return [{k: v for k, v in run.items() if "seconds" not in k} for run in runs]


@pytest.mark.slow
def test_what_was_interrupted_goes_on_to_the_same_end(tiny, tmp_path, monkeypatch):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    whole = trials.trials(tiny, contestants(), 2, one)
    assert [(run["name"], run["seed"]) for run in whole] == [
        *(("adamw", 0), ("sgd", 0)),
        *(("adamw", 1), ("sgd", 1)),
    ]
    assert whole[0]["at"] == list(range(7)) and whole[0]["losses"] != whole[2]["losses"]
    trials.trials(tiny, contestants()[:1], 1, other)
    with other.open("a") as file:
        file.write('{"name": "sgd", "los')  # as a killed process leaves it
    assert len(trials.load(other)) == 1
    ran = []
    monkeypatch.setattr(
        trials, "attempt", lambda *a, _of=trials.attempt, **k: ran.append(a) or _of(*a, **k)
    )
    resumed = trials.trials(tiny, contestants(), 2, other)
    assert [(c.name, seed) for _, c, seed in ran] == [("sgd", 0), ("adamw", 1), ("sgd", 1)]
    assert [r["losses"] for r in resumed] == [r["losses"] for r in whole]
    assert len(trials.load(other)) == 4 == len(other.read_text().splitlines())
    trials.trials(tiny, contestants(), 2, other)
    assert len(ran) == 3
    # Another number, another text, other steps: another run.
    changed = [Contestant("sgd", 3, gd.sgd(0.2))]
    trials.trials(tiny, changed, 1, other)
    assert len(ran) == 4


@pytest.mark.slow
def test_a_run_that_diverges_ends_and_is_counted_out(tiny, tmp_path):
    wild = Contestant("wild", 50, gd.sgd(1e38))
    runs = trials.trials(tiny, [*contestants(), wild], 2, tmp_path / "runs.jsonl")
    run = next(run for run in runs if run["name"] == "wild")
    assert run["losses"][-1] is None and run["at"][-1] < 50
    row = outcomes(runs, "adamw")[-1]
    assert (row.name, row.final, row.needed, row.p) == ("wild", None, None, None)
    json.loads(results.to_json(tiny, runs, "adamw", ""))
    assert "| wild | – | – | 50 | – | – |" in results.markdown(outcomes(runs, "adamw"))


def test_a_file_that_is_none_of_runs_is_told(tmp_path):
    (tmp_path / "runs").write_text("{}\n{}\n")
    with pytest.raises(ValueError, match="must have a run in each line, got in line 1"):
        trials.load(tmp_path / "runs")
    assert trials.load(tmp_path / "none") == []


def test_the_z_test():
    # Means 1.49 and 1.5, variances 1e-4 and 4e-4 (n − 1): by hand.
    losses, target = [1.48, 1.49, 1.50], [1.48, 1.50, 1.52]
    z = 0.01 / math.sqrt(1e-4 / 3 + 4e-4 / 3)
    assert below(losses, target) == pytest.approx(1 - NormalDist().cdf(z), rel=1e-9)
    assert below(target, losses) == pytest.approx(NormalDist().cdf(z), rel=1e-9)
    assert below([1.0, 1.0], [2.0]) == 0.0 and below([2.0, 2.0], [2.0]) == 1.0
    # z = 2.326 is what p = 0.01 asks for.
    assert below([-1.0, 1.0], [2.3263478740408408]) == pytest.approx(0.01, rel=1e-9)
    with pytest.raises(ValueError, match="two losses and a target, got 1, 1"):
        below([1.0], [2.0])


def made(name, seed, losses, ms=1.0):
    at = [0, 10, 20, 30]
    return dict(name=name, seed=seed, at=at, steps=30, losses=losses, milliseconds=ms, optimizer={})


def test_steps_needed_are_those_from_which_on_it_is_certain():
    runs = [made("adamw", s, [4, 3, 2.5, 2 + 0.01 * s]) for s in range(3)]
    runs += [made("fast", s, [4, 2.5, 1.8 + 0.01 * s, 1.7]) for s in range(3)]
    runs += [made("again", s, [4, 1.8, 2.5, 1.9 + 0.01 * s]) for s in range(3)]
    runs += [made("level", s, [4, 3, 2.5, 2 + 0.01 * s]) for s in range(3)]
    rows = {row.name: row for row in outcomes(runs, "adamw")}
    assert list(rows) == ["adamw", "fast", "again", "level"]
    assert [row.needed for row in rows.values()] == [30, 20, 30, None]
    assert rows["level"].p == 0.5 and rows["adamw"].p is None and rows["fast"].p < 1e-9
    table = results.markdown(list(rows.values())).splitlines()
    assert table[3].startswith("| fast | 20 | 67 % | 30 | 1.7000 ± 0.0000 | ")
    with pytest.raises(ValueError, match="of the baseline, muon, got adamw, fast"):
        outcomes(runs, "muon")


def test_tuned_ones_are_data_and_know_their_steps(tiny):
    whole = charlm_configs.contestants("charlm")
    assert [c.name for c in whole] == list(charlm_configs.CHARLM) and whole[0].steps == 2000
    half = charlm_configs.contestants("charlm", ["muon"], 1000)
    assert [c.name for c in half] == ["adamw", "muon"]
    assert [c.steps for c in half] == [1000, charlm_configs.CHARLM["muon"][0] // 2]
    params = jax.eval_shape(tiny.init, KEY)
    for one in whole:
        assert gd.build(json.loads(json.dumps(gd.spec(one.tx)))) == one.tx
        jax.eval_shape(one.tx.init, params)
    with pytest.raises(ValueError, match="one of adamw, muon, .*, got 'sgd'. Give rates"):
        charlm_configs.contestants("charlm", ["sgd"])


@pytest.mark.slow
def test_the_command_line(tmp_path, path, capsys, monkeypatch):
    monkeypatch.setattr(charlm_configs, "charlm", lambda text: charlm.charlm(text, TINY))
    folder = tmp_path / "out"
    words = ["race", "schedule_free_adamw", "--problem", "charlm", "--steps", "10", "--seeds", "2"]
    words += ["--text", str(path), "--out", str(folder)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "words.txt" in out and "one-sided z-test" in out and "schedule_free_adamw" in out
    made = {p.name for p in folder.iterdir()}
    assert made == {"runs.jsonl", "results.json", "table.md", "curves.png"}
    data = json.loads((folder / "results.json").read_text())
    assert data["problem"]["digest"] == charlm.read(path).digest and data["baseline"] == "adamw"
    assert len(data["runs"]["adamw"]["losses"]["1"]) == 11
    before = (folder / "runs.jsonl").read_text()
    assert main(words) == 0 and (folder / "runs.jsonl").read_text() == before


@pytest.mark.parametrize(
    "words, told",
    [
        ("--problem digits --text x", "--text is for --problem charlm"),
        ("--problem digits --rates tuned", "for the problem digits there must be rates"),
        ("--problem charlm --text none.txt", "must be a file that can be read"),
        ("--problem charlm --rates 0.1 --text none.txt", "must be a file that can be read"),
        ("sgd --problem charlm", "must be one of adamw"),
        ("--problem charlm --seeds 0", "seeds must be a positive integer"),
        ("--problem charlm --steps 3", "steps must be 10 or more"),
    ],
)
def test_a_wrong_call_is_one_line(words, told, capsys, tmp_path):
    assert main(["race", *words.split(), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (tmp_path / "out").exists()
