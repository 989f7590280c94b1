"""Strict promotion, eight devices, a compilation cache, double precision on request."""

import gc
import importlib.metadata
import itertools
import os
import pathlib
import types

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Small programs, run a few times: what LLVM would win is less than the time it takes. On a GPU the
# programs are those that users have.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
# Each worker compiles in one thread: there is a worker for each core.
QUICK += " --xla_cpu_parallel_codegen_split_count=1"
# The newer way to emit fusions takes 2.5 times as long to compile. CI has it in other steps.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    QUICK += " --xla_cpu_use_fusion_emitters=false"
DEVICES = "--xla_force_host_platform_device_count=8"
FLAGS = [DEVICES, QUICK] if os.environ["JAX_PLATFORMS"].startswith("cpu") else [DEVICES]
os.environ["XLA_FLAGS"] = " ".join([*FLAGS, os.environ.get("XLA_FLAGS", "")])

import jax  # noqa: E402
import pytest  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent
MAPS, FINISHED = pathlib.Path("/proc/self/maps"), itertools.count(1)
CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Double precision inside of one test."""
    if hasattr(jax, "enable_x64"):
        context = jax.enable_x64(True)
    else:  # before jax 0.8
        from jax import experimental

        context = experimental.enable_x64()
    with context:
        yield


@pytest.fixture
def standard():
    """Promotion as JAX has it by default: what other libraries count on."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def no_cpu(monkeypatch):
    """JAX as with JAX_PLATFORMS=cuda: it has no CPU device, by which programs call Python."""

    def local_devices(*, backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "local_devices", local_devices)
    monkeypatch.setattr(jax, "config", types.SimpleNamespace(jax_platforms="cuda"))


def pytest_collection_finish():
    """What is there by now stays: the collector of garbage need not look at it after every test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_teardown():
    """Forgets compiled programs in time: each maps memory, and Linux counts a process's maps."""
    if next(FINISHED) % 50 == 0 and MAPS.exists():
        if len(MAPS.read_bytes().splitlines()) > 40_000:  # of 65530
            jax.clear_caches()
