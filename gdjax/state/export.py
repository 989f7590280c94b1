"""Registration of the classes of states with `jax.export`."""

from __future__ import annotations

import functools
import json
from typing import Any

import jax.export
import jax.numpy as jnp

from gdjax import states
from gdjax.core.data import exports
from gdjax.core.lowbit.quantized import Format, Quantized

__all__ = ["register_export"]


@functools.cache
def register_export() -> None:
    """Registers the classes of states with `jax.export`; once in each process.

    Call it before serializing a step that has a state among its arguments or results, and in the
    process that deserializes it.

    >>> import gdjax as gd, jax, jax.export, jax.numpy as jnp
    >>> gd.state.register_export()
    >>> tx, params = gd.adam(1e-3), jnp.ones(2)
    >>> exported = jax.export.export(jax.jit(tx.step))(params, tx.init(params), params)
    >>> saved = exported.serialize()
    """
    for name in exports.homes("gdjax.states"):
        kind = getattr(states, name)
        jax.export.register_namedtuple_serialization(kind, serialized_name=f"gdjax.{name}")
    jax.export.register_pytree_node_serialization(
        Quantized,
        serialized_name="gdjax.Quantized",
        serialize_auxdata=_written,
        deserialize_auxdata=_read,
    )


def _written(kind: Any) -> bytes:
    return json.dumps([kind.format, kind.square, str(kind.dtype), kind.block]).encode()


def _read(data: Any) -> Format:
    format, square, dtype, block = json.loads(bytes(data))
    return Format(format, square, jnp.dtype(dtype), tuple(block))
