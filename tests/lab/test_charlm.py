"""The transformer on characters, and races under equal budgets: search, seeds, the z-test."""

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
from gdjax.lab.outcomes import below, outcomes
from gdjax.lab.race import race
from gdjax.lab.spaces import Space, ratio
from gdjax.lab.trials import Contestant

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
    small = charlm.charlm_small()
    shapes = jax.eval_shape(small.init, KEY)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) == 106_816
    assert (small.name, small.digest, small.steps) == ("charlm_small", problem.digest, 300)


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
    alone = trials.attempt(tiny, Contestant("one", 20, gd.schedule_free_adamw(0.03)), 1, 4)
    np.testing.assert_allclose(results.runs[0].losses[1, 1, ::5], alone["losses"], atol=2e-5)


def contestants(steps=6):
    return [Contestant("adamw", steps, gd.adamw(0.03)), Contestant("sgd", steps // 2, gd.sgd(0.1))]


@pytest.mark.slow
def test_what_was_interrupted_goes_on_to_the_same_end(tiny, tmp_path, monkeypatch):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    whole = trials.trials(tiny, contestants(), [0, 1], one)
    assert [(run["name"], run["seed"]) for run in whole] == [
        *(("adamw", 0), ("adamw", 1)),
        *(("sgd", 0), ("sgd", 1)),
    ]
    assert whole[0]["at"] == list(range(7)) and whole[0]["losses"] != whole[1]["losses"]
    trials.trials(tiny, contestants()[:1], [0], other)
    with other.open("a") as file:
        file.write('{"name": "sgd", "los')  # as a killed process leaves it
    assert len(trials.load(other)) == 1
    ran = []
    monkeypatch.setattr(
        trials, "attempts", lambda *a, _of=trials.attempts, **k: ran.extend(a[1]) or _of(*a, **k)
    )
    resumed = trials.trials(tiny, contestants(), [0, 1], other)
    assert [(c.name, seed) for c, seed in ran] == [("adamw", 1), ("sgd", 0), ("sgd", 1)]
    assert [r["losses"] for r in resumed] == [r["losses"] for r in whole]
    assert len(trials.load(other)) == 4 == len(other.read_text().splitlines())
    trials.trials(tiny, contestants(), [0, 1], other)
    assert len(ran) == 3
    # Another number, another text, other steps: another run.
    changed = [Contestant("sgd", 3, gd.sgd(0.2))]
    trials.trials(tiny, changed, [0], other)
    assert len(ran) == 4


@pytest.mark.slow
def test_runs_together_are_those_apart_and_each_ends_where_it_diverges(tiny):
    made = [(Contestant("sgd", 6, gd.sgd(rate)), seed) for rate, seed in ((0.1, 0), (1e38, 1))]
    apart = [trials.attempt(tiny, *one) for one in made]
    together = trials.attempts(tiny, made)
    assert [run["together"] for run in apart + together] == [1, 1, 2, 2]
    for one, other in zip(apart, together):
        assert one["at"] == other["at"] and one["optimizer"] == other["optimizer"]
        losses = [np.array(run["losses"], float) for run in (one, other)]
        np.testing.assert_allclose(*losses, atol=2e-5)
    assert together[1]["losses"][-1] is None and together[1]["at"][-1] < 6


def parts(jaxpr, inside=()):
    """The primitives of a program, each with the conditionals and loops around it."""
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name, inside
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from parts(inner, (*inside, eqn.primitive.name))


@pytest.mark.parametrize("name", ["soap", "soap_muon"])
def test_settings_in_one_program_refresh_bases_in_a_branch(name):
    """Decompositions would be computed in every step if the branch became a select."""
    txs = trials._stacked([getattr(gd, name)(rate, b1=0.9) for rate in (0.1, 0.2)])
    params = jnp.ones((2, 3, 3))
    state = jax.eval_shape(jax.vmap(lambda tx, p: tx.init(p)), txs, params)
    step = jax.make_jaxpr(jax.vmap(lambda tx, s, p: tx.update(p, s, p)))(txs, state, params)
    costly = ("eigh", "householder_product")
    found = [inside for part, inside in parts(step.jaxpr) if part in costly]
    assert found and all("cond" in inside for inside in found)


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
    return dict(
        **dict(name=name, seed=seed, at=[0, 10, 20, 30], steps=30, losses=losses),
        **dict(milliseconds=ms, together=1, optimizer={}, setting={"learning_rate": 0.1}),
    )


def test_steps_needed_are_those_from_which_on_it_is_certain():
    seeds = range(1, 4)
    runs = [made("adamw", s, [4, 3, 2.5, 2 + 0.01 * s]) for s in seeds]
    runs += [made("fast", s, [4, 2.5, 1.8 + 0.01 * s, 1.7], 8 - s) for s in seeds]
    runs += [made("again", s, [4, 1.8, 2.5, 1.9 + 0.01 * s]) for s in seeds]
    runs += [made("level", s, [4, 3, 2.5, 2 + 0.01 * s]) for s in seeds]
    # The search decides nothing but the setting: its losses are not among those reported.
    runs += [made("fast", 0, losses) for losses in ([4, 3, 2, 1], [4, 3, 2, 5], [4, None])]
    rows = {row.name: row for row in outcomes(runs, "adamw")}
    assert list(rows) == ["adamw", "fast", "again", "level"]
    assert [row.needed for row in rows.values()] == [30, 20, 30, None]
    assert rows["level"].p == 0.5 and rows["adamw"].p is None and rows["fast"].p < 1e-9
    assert (rows["fast"].settings, rows["fast"].diverged) == (3, 2)
    assert (rows["fast"].seconds, rows["level"].seconds) == (0.1, None)
    table = results.markdown(results.cells(list(rows.values()))).splitlines()
    assert table[3] == "| fast | 3 | 2 | 1.7000 ± 0.0000 | < 1e-12 | 20 (67 %) | 0.10 | 5.0 |"
    with pytest.raises(ValueError, match="of the baseline, muon, got adamw, fast"):
        outcomes(runs, "muon")


def test_settings_lie_in_their_ranges_and_a_larger_budget_has_those_of_a_smaller(tiny):
    params = jax.eval_shape(tiny.init, KEY)
    for space in charlm_configs.SPACES.values():
        found = space.settings(48)
        assert found == space.settings(48) and found[:5] == space.settings(5)
        for name, (low, high, decays) in space.ranges.items():
            values = np.array([setting[name] for setting in found])
            assert (values >= low).all() and (values <= high).all()
            middle = 1 - ((1 - low) * (1 - high)) ** 0.5 if decays else (low * high) ** 0.5
            assert 20 <= (values < middle).sum() <= 28
        tx = space.make(40, **found[0])
        assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx
        jax.eval_shape(tx.init, params)


@pytest.mark.slow
def test_equal_budgets_on_the_command_line(tmp_path, tiny, path, capsys, monkeypatch):
    ranges = charlm_configs.SPACES["momentum"].ranges | {"learning_rate": ratio(0.1, 1e6)}
    wild = Space(charlm_configs.SPACES["momentum"].make, ranges)
    monkeypatch.setitem(charlm_configs.PROBLEMS, "charlm", lambda text: tiny)
    monkeypatch.setattr(charlm_configs, "SPACES", charlm_configs.SPACES | {"momentum": wild})
    folder = tmp_path / "out"
    words = ["race", "momentum", "--problem", "charlm", "--budget", "3", "--steps", "10"]
    words += ["--seeds", "2", "--text", str(path), "--out", str(folder)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "words.txt" in out and "one-sided z-test" in out and "of 0.1 to 1e+06" in out
    assert {p.name for p in folder.iterdir()} == {"runs.jsonl", *results.FILES}
    data = json.loads((folder / "results.json").read_text())
    assert data["problem"]["digest"] == charlm.read(path).digest and data["baseline"] == "adamw"
    row = data["table"][1]
    assert (row["name"], row["settings"]) == ("momentum", 3) and row["diverged"] >= 2
    space = data["runs"]["momentum"]["space"]
    assert space["learning_rate"] == {"low": 0.1, "high": 1e6, "decays": False}
    assert list(data["runs"]["adamw"]["losses"]) == ["1", "2"]
    # The best is the one that ended lowest in the search, and it runs from other seeds.
    runs = trials.load(folder / "runs.jsonl")
    searched = [r for r in runs if r["name"] == "adamw" and r["seed"] == 0]
    assert len(runs) == 10 and len(searched) == 3
    best = min(searched, key=lambda run: run["losses"][-1])
    assert data["runs"]["adamw"]["optimizer"] == best["optimizer"]
    # A larger budget runs the further settings alone, and then the best, where it is another.
    before = (folder / "runs.jsonl").read_text()
    assert main(words) == 0 and (folder / "runs.jsonl").read_text() == before
    words[words.index("--budget") + 1] = "5"
    assert main(words) == 0
    more = trials.load(folder / "runs.jsonl")[10:]
    further = [("adamw", 0)] * 2 + [("momentum", 0)] * 2
    assert [(run["name"], run["seed"]) for run in more[:4]] == further
    assert {run["seed"] for run in more[4:]} <= {1, 2}


@pytest.mark.parametrize(
    "words, told",
    [
        ("--problem digits --text x", "--text is for --problem charlm or charlm_small"),
        ("--problem charlm --budget 3 --text none.txt", "must be a file that can be read"),
        ("--problem charlm --rates 0.1 --text none.txt", "must be a file that can be read"),
        ("sgd --problem charlm --budget 3", "must be one of adamw"),
        ("--problem charlm --budget 3 --seeds 0", "seeds must be a positive integer"),
        ("--problem charlm --budget 0", "budget must be a positive integer"),
    ],
)
def test_a_wrong_call_is_one_line(words, told, capsys, tmp_path):
    assert main(["race", *words.split(), "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (tmp_path / "out").exists()
