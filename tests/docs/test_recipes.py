"""Recipes: each program does what it prints, and its page shows all of it."""

import re
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd

from ..update import ROOT

FOLDER = ROOT / "docs" / "recipes"
FILES = sorted(FOLDER.glob("*.py"))
TOPICS = {
    "no_decay": "Weight decay without biases and norms",
    "schedule": "Learning-rate schedule",
    "clipping": "Gradient clipping",
    "accumulation": "Gradient accumulation",
    "ema": "Exponential moving average of the weights",
    "logging": "Logging of rate and norms",
    "checkpoint": "Save and resume with Orbax",
    "optax": "Continue a checkpoint of optax",
    "freeze": "Freeze the backbone, train the head",
    "bfloat16": "bfloat16",
}
name_of = lambda file: file.stem


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_page_shows_every_section(file):
    program, page = file.read_text(), file.with_suffix(".md").read_text()
    starts, ends = (re.findall(rf"# --8<-- \[{word}:(\w+)\]", program) for word in ("start", "end"))
    assert starts == ends and set(TOPICS) <= set(starts)
    shown = re.findall(r'^--8<-- "recipes/(\w+)\.py:(\w+)"$', page, re.MULTILINE)
    assert shown == [(file.stem, section) for section in starts]
    headings = re.findall(r'^## (.*)\n\n(?:.+\n)*\n?```python\n--8<-- ".*:(\w+)"', page, re.M)
    assert {section: title for title, section in headings if section in TOPICS} == TOPICS


def test_each_page_has_a_program_and_is_listed():
    pages = {page.stem for page in FOLDER.glob("*.md")} - {"index"}
    listed = set(re.findall(r"\]\((\w+)\.md\)", (FOLDER / "index.md").read_text()))
    assert pages == listed == {file.stem for file in FILES} and len(pages) == 6


def nnx_weights(model):
    from flax import nnx

    return nnx.state(model, nnx.Param)


def eqx_weights(model):
    import equinox as eqx

    return eqx.filter(model, eqx.is_inexact_array)


# How each program calls what is looked at: the weights of the model, of the fine-tuned one and of
# the one in bfloat16; the losses of 20 steps by optax itself; a loss before any training.
LOOK = {
    "flax_nnx": lambda s: (
        *(nnx_weights(s[name]) for name in ("model", "tuned", "small")),
        s["train"](*s["create"](s["theirs"]), range(20)),
    ),
    "flax_linen": lambda s: (
        *(s[name].params for name in ("state", "tuned", "small")),
        s["train"](s["create"](s["model"], s["theirs"]), range(20))[-1],
    ),
    "equinox_module": lambda s: (
        *(eqx_weights(s[name]) for name in ("model", "tuned", "small")),
        s["train"](gd.chain(s["theirs"]), *s["create"](gd.chain(s["theirs"])), range(20))[-1],
    ),
    "numpyro_svi": lambda s: (
        s["trained"],
        s["head"].get_params(s["tuned"]),
        s["half"].get_params(s["small"]),
        s["train"](s["old"], s["old_start"], range(20))[-1],
    ),
    "optimistix_minimise": lambda s: (
        *(s[name] for name in ("params", "tuned", "small")),
        s["train"](s["old_solver"], *s["begin"](s["old_solver"], s["start"]), range(20))[-1],
    ),
    "plain_jax": lambda s: (
        *(s[name] for name in ("params", "tuned", "small")),
        by_optax(s["train"], gd.chain(s["theirs"]), s["create"]()[0]),
    ),
}


def by_optax(train, tx, params):
    return train(tx, params, tx.init(params), range(20))[-1]


def named(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def falls(logs):
    losses = [log["loss"] for log in logs]
    return np.isfinite(losses).all() and np.mean(losses[-8:]) < 0.8 * np.mean(losses[:4])


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_the_program_does_what_it_says(file, capsys):
    scope = runpy.run_path(str(file))
    out = capsys.readouterr().out
    assert "resumed run equals the uninterrupted one: True" in out and out.count("\n") < 10
    weights, tuned, small, by_optax = LOOK[file.stem](scope)

    logs = scope["logs"]
    assert len(logs) == 40 and falls(logs)
    assert scope["logs_resumed"] == logs[20:]
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), weights, resumed_weights(file, scope))
    assert all(jax.tree.leaves(same))
    assert {"grad_norm", "clip_factor", "learning_rate", "accumulated", "steps"} <= set(logs[0])
    assert [log["accumulated"] for log in logs[:4]] == [1, 0, 1, 0] and logs[-1]["steps"] == 20
    assert logs[-1]["learning_rate"] == pytest.approx(float(scope["rate"](19)), rel=1e-5)

    assert scope["average"] != scope["loss"]
    assert max(scope["average"], scope["loss"]) < 0.7  # by chance ln 3, or 2/3 of errors

    theirs = [log["loss"] for log in by_optax[10:]]
    np.testing.assert_allclose([log["loss"] for log in scope["logs_taken"]], theirs, rtol=1e-4)

    before, after = named(weights), named(tuned)
    frozen = {name for name in before if name.startswith("backbone")}
    assert frozen and {name for name in before if jnp.all(before[name] == after[name])} == frozen

    assert falls(scope["logs_small"]) and falls(scope["logs_tuned"])
    dtypes = {name: str(x.dtype) for name, x in named(small).items()}
    half = {} if file.stem == "optimistix_minimise" else frozen
    float32 = set(dtypes) - set(half) if file.stem in ("numpyro_svi", "optimistix_minimise") else {}
    assert dtypes == {n: "float32" if n in float32 else "bfloat16" for n in dtypes}


def resumed_weights(file, scope):
    resumed = scope["resumed"]
    if file.stem == "flax_nnx":
        return nnx_weights(resumed[0])
    if file.stem == "flax_linen":
        return resumed.params
    if file.stem == "numpyro_svi":
        return scope["svi"].get_params(resumed)
    return eqx_weights(resumed) if file.stem == "equinox_module" else resumed
