"""Chips for which programs can be compiled without the device, and their compilers."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from gdjax.core.rule import errors

__all__ = ["CHIPS", "Chip", "devices"]


class Chip(NamedTuple):
    """A chip and its compiler.

    Attributes:
        platform: JAX's name of its platform.
        memory: Memory of one device in bytes; 0 if not known.
        grid: The default grid of chips.
        options: Options of the compiler, for compilation without the device.
    """

    platform: str
    memory: int
    grid: str = "1x1"
    options: tuple[tuple[str, Any], ...] = ()


_GB = 10**9
# A GPU that is not here can try no kernel out.
_NO_TRIALS = (("xla_gpu_autotune_level", 0), ("xla_gpu_enable_triton_gemm", False))

CHIPS = {
    "cpu": Chip("cpu", 0),
    "v5e": Chip("tpu", 16 * _GB, "2x4"),
    "v5p": Chip("tpu", 95 * _GB, "2x2x1"),
    "v6e": Chip("tpu", 32 * _GB, "2x4"),
    "h200": Chip("cuda", 141 * _GB, options=_NO_TRIALS),
}
"""The chips by name."""

# What XLA asks a GPU for, as an H200 answers.
_H200 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000
  l2_cache_size: 62914560
  clock_rate_ghz: 1.98
  device_memory_size: 150000000000
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 patch: 0 }
device_description_str: "NVIDIA H200"
"""
# libtpu asks the cloud what it runs on unless it is given.
_TOLD = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_ID": "0",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def devices(chip: str) -> tuple[Chip, list[Any]]:
    """The chip of a name, and abstract or real devices to compile for.

    Args:
        chip: A key of `CHIPS`, for a TPU with its grid: `"v5e:2x4"`, `"v5p:4x4x4"`; `"v5e:1"` is
            one chip.

    Raises:
        ValueError: Unknown chip.
        RuntimeError: Its compiler is not installed, or in use by another process.
    """
    name, _, grid = chip.partition(":")
    if name not in CHIPS:
        hint = errors.nearest(name, CHIPS)
        errors.fail("programs", f"chip must be one of {', '.join(CHIPS)}", chip, instead=hint)
    known = CHIPS[name]
    if known.platform == "cpu":
        return known, jax.devices("cpu")
    if known.platform == "cuda":
        return known, _described("h200", "cuda", target_config=_H200, topology="1x1x1")[:1]
    for key, value in _TOLD.items():
        os.environ.setdefault(key, value)
    alone = grid == "1"
    grid = known.grid if alone or not grid else grid
    if not re.fullmatch(r"\d+(x\d+)+", grid):
        errors.fail("programs", "the grid of a TPU must be written as 2x4", chip)
    found = _described(f"{name}:{grid}", "tpu")
    return known, found[:1] if alone else found


@contextlib.contextmanager
def _quietly(logger: str) -> Iterator[None]:
    logging.getLogger(logger).disabled = True
    try:
        yield
    finally:
        logging.getLogger(logger).disabled = False


def _described(name: str, platform: str, **more: Any) -> list[Any]:
    from jax._src import xla_bridge
    from jax.experimental import topologies

    if platform == "cuda":
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        with _quietly("jax._src.xla_bridge"):  # it may be known already, which is logged at length
            xla_bridge.discover_pjrt_plugins()
    try:
        return list(topologies.get_topology_desc(name, platform, **more).devices)
    except Exception as error:
        held = "lock" in str(error) or "in use" in str(error)
        what = "is in use by another process" if held else 'is missing: pip install "gdjax[chips]"'
        said = errors.shorten(str(error).splitlines()[0] if str(error) else repr(error), 200)
        # Else JAX asks for a device, and finds none.
        if not held and getattr(jax.config, "jax_platforms", None) != "cpu":
            what += ", or JAX_PLATFORMS=cpu is not set"
        raise RuntimeError(f"programs: the compiler for {name} {what}. JAX says: {said}") from error
