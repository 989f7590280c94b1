"""What is read off compiled programs, on CPU; other chips have budgets."""

from __future__ import annotations

import json
import math

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

import gdjax as gd
from gdjax import programs
from gdjax.lab.cli import main
from gdjax.programs import chips, instructions

ONE = {"data": 1}
SQUARES = {"a": jax.ShapeDtypeStruct((128, 128), jnp.float32), "b": jnp.ones((128, 128))}


def test_a_plain_descent_reads_and_writes_each_number_once():
    found = programs.report(gd.sgd(0.1), SQUARES, mesh=ONE)
    assert found.bytes_a_parameter == pytest.approx(12, rel=1e-4)
    assert (found.temporary, found.copies, found.kernels) == (0, 0, 2)
    assert found.kernels == 2 and found.collectives == {} and found.fits is None
    assert found.peak >= 8 * found.parameters == 8 * 2 * 128 * 128
    assert json.loads(json.dumps(found.as_dict()))["kernels"] == 2
    assert "bytes a parameter  12.0" in str(found)


def test_optax_is_counted_by_the_same_step():
    optax = pytest.importorskip("optax")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = programs.report(optax.adam(1e-3), SQUARES, mesh=ONE, name="optax")
    ours = programs.report(gd.adam(1e-3), SQUARES, mesh=ONE, name="gdjax")
    assert ours.bytes <= theirs.bytes + 100 and ours.kernels <= theirs.kernels
    text = programs.table([ours, theirs], markdown=True)
    assert text.count("\n") == 3 and f"| gdjax | {ours.bytes_a_parameter:.1f} |" in text


@pytest.mark.parametrize("explicit", [False, True])
def test_a_clip_on_a_mesh_sends_one_number(explicit):
    tx = gd.chain(gd.clip_by_global_norm(1.0), gd.adam(1e-3))
    found = programs.report(tx, SQUARES, "cpu", P("data"), explicit=explicit)
    assert found.chip == "cpu × 8" and set(found.collectives) == {"all-reduce"}
    assert found.collectives["all-reduce"].bytes < 100
    whole = programs.report(tx, SQUARES, "cpu", P("data", "model"), mesh={"data": 2, "model": 4})
    assert whole.bytes < found.bytes * 2


def test_what_does_not_divide_is_whole():
    odd = {"w": jax.ShapeDtypeStruct((7, 8), jnp.float32), "v": jax.ShapeDtypeStruct((), "float32")}
    assert programs.report(gd.sgd(0.1), odd, "cpu", P("data")).copies == 0


def test_branches_and_copies_are_counted():
    text = """
%then (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %c = f32[8]{0} copy(%p)
}

%else (q: f32[8]) -> f32[8] {
  %q = f32[8]{0} parameter(0)
  %s = s32[] copy(%t)
  ROOT %f = bf16[8]{0} fusion(%q), kind=kLoop, calls=%inside
}

%inside (r: f32[8]) -> bf16[8] {
  %r = f32[8]{0} parameter(0)
  ROOT %x = bf16[8]{0} fusion(%r), kind=kLoop, calls=%deeper
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  ROOT %y = f32[8]{0} conditional(%i, %x, %x), branch_computations={%then, %else}
}
"""
    assert instructions.counts(text) == (1, 1)
    assert instructions.moved(text) == 64 + (4 + 0) + (32 + 16)


@pytest.mark.parametrize(
    "chip, kind, match",
    [
        ("v5", ValueError, "chip must be one of cpu, v5e.*Did you mean v5"),
        ("v5e:two", ValueError, "the grid of a TPU must be written as 2x4"),
        ("v5e:2x4", RuntimeError, r"the compiler for v5e:2x4 .*gdjax\[chips\]"),
    ],
)
def test_chips_that_are_not_there(chip, kind, match, monkeypatch):
    def none(*args, **kwargs):
        raise RuntimeError("Unknown TPU topology")

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", none)
    with pytest.raises(kind, match=match):
        programs.report(gd.sgd(0.1), SQUARES, chip)


def test_a_compiler_that_is_held_says_so(monkeypatch):
    def held(*args, **kwargs):
        raise RuntimeError("The TPU is already in use by process with pid 1")

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", held)
    with pytest.raises(RuntimeError, match="is in use by another process"):
        chips.devices("v5e:1")


def test_a_mesh_has_no_more_devices_than_the_chip():
    with pytest.raises(ValueError, match="mesh must have at most 8 devices"):
        programs.report(gd.sgd(0.1), SQUARES, mesh={"data": 16})
    with pytest.raises(TypeError, match="Call the factory"):
        programs.report(gd.sgd, SQUARES)


@pytest.mark.parametrize(
    "name, count, arrays",
    [
        ("gpt2", 124_475_904, 148),
        ("llama", 1_345_423_360, 219),
        ("stacked_llama", 1_345_423_360, 12),
        ("resnet50", 25_557_032, 161),
    ],
)
def test_models_have_the_sizes_of_their_papers(name, count, arrays):
    leaves = jax.tree.leaves(programs.models.MODELS[name]())
    sizes = [math.prod(x.shape) for x in leaves]
    assert (sum(sizes), len(sizes)) == (count, arrays)


def test_on_the_command_line(capsys):
    words = ["programs", "sgd", "adam(1e-3)", "--model", "small", "--against", "optax", "--json"]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert main(words) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in found][:2] == ["sgd", "optax: sgd"] and len(found) == 4
    assert main(["programs", "adamw", "--chip", "v7"]) == 2
    assert "chip must be one of" in capsys.readouterr().err
    assert main(["programs", "chain", "--model", "small"]) == 2
    assert "needs more than numbers" in capsys.readouterr().err
    assert main(["programs", "adamw", "--model", "gpt3"]) == 2
    assert "--model must be one of gpt2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["programs", "--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in programs.models.MODELS)
