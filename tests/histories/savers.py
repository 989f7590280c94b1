"""Savers of named arrays, as docs/state.md has them: into a folder and back."""

from __future__ import annotations

import pathlib
from typing import Any

import flax.serialization
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import safetensors.flax


def npz(saved: dict[str, Any], folder: pathlib.Path) -> Any:
    np.savez(folder / "state.npz", **saved)
    with np.load(folder / "state.npz") as file:
        return dict(file)


def safetensors_(saved: dict[str, Any], folder: pathlib.Path) -> Any:
    arrays = {name: jnp.asarray(x) for name, x in saved.items()}
    safetensors.flax.save_file(arrays, folder / "state.safetensors")
    return safetensors.flax.load_file(folder / "state.safetensors")


def orbax(saved: dict[str, Any], folder: pathlib.Path) -> Any:
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder / "state", saved, force=True)
    with ocp.StandardCheckpointer() as saver:
        return saver.restore(folder / "state")


def msgpack(saved: dict[str, Any], folder: pathlib.Path) -> Any:
    arrays = {name: np.asarray(x) for name, x in saved.items()}
    (folder / "state.msgpack").write_bytes(flax.serialization.msgpack_serialize(arrays))
    return flax.serialization.msgpack_restore((folder / "state.msgpack").read_bytes())


SAVERS = {"npz": npz, "safetensors": safetensors_, "orbax": orbax, "msgpack": msgpack}
