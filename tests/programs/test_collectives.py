"""What compiled programs send: counted right, and no more of it than is said."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from gdjax.programs.collective_bytes import Traffic, collectives
from tests.conftest import CACHE
from tests.helpers import first, mesh_of
from tests.programs import scaling
from tests.programs.collectives import step

MESH = mesh_of("Auto", (4, 2), ("data", "model"))
SMALL = {"layers": 1, "width": 32, "words": 64}


def sent(function, shape, **options):
    given = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(MESH, P("data")))
    return collectives(jax.jit(function, **options).lower(given).compile().as_text())


@pytest.mark.parametrize(
    "function, want",
    [
        # 8 numbers of 4 bytes on each of 4 devices, around a ring
        (lambda x: jax.lax.all_gather(x, "data", tiled=True), {"all-gather": (1, 3 * 32)}),
        (lambda x: jax.lax.psum_scatter(x, "data", tiled=True), {"reduce-scatter": (1, 24)}),
        (lambda x: jax.lax.psum(x, "data"), {"all-reduce": (1, 48)}),
        (lambda x: jax.lax.psum(x, ("data", "model")), {"all-reduce": (1, 56)}),
        (lambda x: jax.lax.all_to_all(x, "data", 0, 0, tiled=True), {"all-to-all": (1, 24)}),
        (
            lambda x: jax.lax.ppermute(x, "data", [(i, (i + 1) % 4) for i in range(4)]),
            {"collective-permute": (1, 32)},
        ),
        (lambda x: 2 * x, {}),
        (
            lambda x: jax.lax.fori_loop(0, 5, lambda i, c: jax.lax.psum(c, "data") / 9, x),
            {"all-reduce": (5, 5 * 48)},
        ),
        (
            lambda x: jax.lax.fori_loop(
                0, 3, lambda i, c: jax.lax.fori_loop(0, 2, lambda j, d: step_right(d), c), x
            ),
            {"collective-permute": (6, 6 * 32)},
        ),
        (
            lambda x: jax.lax.cond(
                x[0] > 0, lambda: jax.lax.psum(x, "data"), lambda: step_right(x)
            ),
            {"all-reduce": (1, 48)},  # the branch that sends most
        ),
    ],
    ids=[
        "all_gather",
        "psum_scatter",
        "psum",
        "psum of both",
        "all_to_all",
        "ppermute",
        "nothing",
        "loop",
        "loop in a loop",
        "cond",
    ],
)
def test_known_programs(function, want):
    specs = {"in_specs": P("data"), "out_specs": P("data"), "check_vma": False}
    run = jax.shard_map(function, mesh=MESH, **specs)
    assert sent(run, (32,)) == {kind: Traffic(*numbers) for kind, numbers in want.items()}


def step_right(x):
    return jax.lax.ppermute(x, "data", [(i, (i + 1) % 4) for i in range(4)])


def test_what_the_compiler_puts_in():
    """A product over rows that lie on four devices, wanted whole: one sum over these."""
    whole = NamedSharding(MESH, P())
    found = sent(lambda x: x.T @ x, (32, 6), out_shardings=whole)
    assert found == {"all-reduce": Traffic(1, 2 * 6 * 6 * 4 * 3 // 4)}


ASYNC = """HloModule jit_f, is_scheduled=true, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

%async_computation (p: f32[64]) -> f32[16] {
  %p = f32[64]{0} parameter(0)
  ROOT %r = f32[16]{0} reduce-scatter(%p), replica_groups=[2,4]<=[8], dimensions={0}, to_apply=%add
}

ENTRY %main (x: bf16[4,8], y: f32[64]) -> (bf16[16,8], f32[16], f32[64]) {
  %x = bf16[4,8]{1,0:T(8,128)(2,1)} parameter(0)
  %y = f32[64]{0:T(256)} parameter(1)
  %g = (bf16[4,8]{1,0:T(8,128)(2,1)}, bf16[16,8]{1,0}) all-gather-start(%x), replica_groups=AXES
  %h = bf16[16,8]{1,0} all-gather-done(%g)
  %s = ((f32[64]{0}), f32[16]{0}, u32[]) async-start(%y), calls=%async_computation
  %t = f32[16]{0} async-done(%s), calls=%async_computation
  %u = (f32[64]{0}, f32[64]{0}) all-reduce-start(%y, %y), replica_groups={}, to_apply=%add
  %v = (f32[64]{0}, f32[64]{0}) all-reduce-done(%u)
  %w = f32[64]{0} get-tuple-element(%v), index=0
  %k = (f32[64], f32[64], u32[], u32[]) collective-permute-start(%w), source_target_pairs={{0,0}}
  %l = f32[64] collective-permute-done(%k)
  ROOT %z = (bf16[16,8], f32[16], f32[64]) tuple(%h, %t, %l)
}
"""


@pytest.mark.parametrize(
    "groups, n",
    [
        ("mesh['data'=4,'model'=2] {'data'}", 4),
        ("mesh['a'=2,'b'=2,'c'=2] {'a','c'}", 4),
        ("mesh['a'=8] {'a':(2)4}", 4),
        ("{{0,1},{2,3},{4,5},{6,7}}", 2),
        ("[1,8]<=[4,2]T(1,0)", 8),
    ],
)
def test_what_starts_and_ends_apart_counts_once(groups, n):
    """As on accelerators: starts and ends, tiles in the layouts, groups in all spellings."""
    assert collectives(ASYNC.replace("AXES", groups)) == {
        "all-gather": Traffic(1, (n - 1) * 4 * 8 * 2),
        "reduce-scatter": Traffic(1, 64 * 4 * 3 // 4),
        "all-reduce": Traffic(1, 2 * 64 * 4 * 2 * 7 // 8),
        "collective-permute": Traffic(1, 0),  # to itself
    }


def test_replicated_adamw_and_zero_send_the_same_and_keep_an_eighth():
    whole, parts = (step("adamw", placement, **SMALL) for placement in ("replicated", "ZeRO-1"))
    assert whole is not None and parts is not None
    assert set(whole.sent) == {"all-reduce"}
    assert set(parts.sent) == {"reduce-scatter", "all-gather"}
    assert parts.bytes == whole.bytes
    assert parts.state_bytes - 4 == (whole.state_bytes - 4) / 8  # but for the count


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("placement", ["FSDP", "2-D"])
def test_adamw_sends_nothing_where_its_state_lies_as_the_parameters(placement, kind):
    found = step("adamw", placement, axis_type=kind, **SMALL)
    assert found is not None and found.sent == {}


@pytest.mark.parametrize("placement", ["ZeRO-1", "FSDP"])
def test_no_more_than_optax(placement):
    """Adafactor: theirs sums leaf by leaf, and keeps whole what is not of its parameter's shape."""
    ours, theirs = (step("adafactor", placement, one, **SMALL) for one in ("gdjax", "optax"))
    assert ours is not None and theirs is not None
    assert ours.bytes < theirs.bytes and ours.state_bytes <= theirs.state_bytes


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("placement", first(1, ["FSDP", "2-D"]))
def test_matrices_go_to_their_owners_and_return(placement, kind):
    """Two all-to-all for each of four shapes, nothing else; bytes as on paper."""
    found = step("muon", placement, axis_type=kind, layers=8, width=32, words=64)
    assert found is not None
    on_paper = 8 * 2 * 4 * (12 * 32 * 32) / 8 * 7 / 8
    assert found.sent == {"all-to-all": Traffic(2 * 4, round(on_paper))}


def test_on_paper():
    """AdamW in mixed precision takes 16 bytes, ZeRO splits 12 (Rajbhandari et al., 2019)."""
    of = scaling.Model(layers=10, width=256, words=1000)
    n, plan = of.parameters, functools.partial(scaling.plan, scaling.OPTIMIZERS["adamw"], of)
    assert n == 10 * (12 * 256**2 + 2 * 256) + 1000 * 256
    count = 4 * 1  # bytes, of the only number that is no parameter's
    held = [plan(placement, 8).held for placement in scaling.PLACEMENTS]
    assert held == [16 * n + count, 4 * n + (12 * n + count) / 8] + 2 * [(16 * n + count) / 8]
    sent = [plan(placement, 8).sent / (n * 7 / 8) for placement in scaling.PLACEMENTS[:3]]
    assert sent == [4, 4, 6]
    assert plan("FSDP + TP", 64, tensor=8, tokens=10).sent == (
        6 * n / 8 * 7 / 8 + 4 * 2 * 7 / 8 * 2 * 10 * 256 * 80
    )
    muon = scaling.plan(scaling.OPTIMIZERS["muon"], of, "FSDP", 8).sent - plan("FSDP", 8).sent
    assert muon == pytest.approx(8 * 10 * 12 * 256**2 / 8 * 7 / 8)


def test_the_table_on_paper(capsys):
    assert scaling.main(["adafactor", "--parameters", "1e9", "--markdown"]) == 0
    head, _, row = (line.split(" | ") for line in capsys.readouterr().out.splitlines())
    assert len(head) == len(row) and row[:3] == ["| 0.9e9, 8", "adafactor", "4.00"]
    with pytest.raises(SystemExit):
        scaling.main(["adamm"])
    assert "got 'adamm'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_finds_itself_devices():
    """Started with one device, it starts itself again with eight."""
    small = [f"--{name}={size}" for name, size in SMALL.items()]
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    env |= {"JAX_COMPILATION_CACHE_DIR": CACHE, "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"}
    command = [sys.executable, "-m", "tests.programs.collectives", "adamw", "--markdown", *small]
    options = {"capture_output": True, "text": True, "timeout": 120, "check": True}
    out = subprocess.run(command, env=env, **options).stdout
    rows = [line.split(" | ") for line in out.splitlines()]
    assert len(rows) == 2 + 5 and rows[2][0] == "| adamw, replicated"
    assert rows[3][1:4] == ["7 / 7", "7 / 0", "0 / 1"]


def test_what_optax_has_not_is_left_out():
    assert step("soap", "FSDP", "optax", **SMALL) is None


def test_soap_of_stacked_layers_sends_no_bases():
    """Gradients and two moments go to the owners, updates and the second moment come back."""
    sent = step("soap", "stacked", **SMALL | {"layers": 8}).sent["all-to-all"]
    layers = 8 * (12 * 32 + 2) * 32 * 4  # all bytes; a device sends 7/8 of its eighth
    assert sent.count == 5 * 5 and sent.bytes <= 5 * layers * 7 / 64
