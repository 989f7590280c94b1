"""Conversion of `optimizer.state_dict()` of torch to a state of gdjax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors, tree

__all__ = ["load_state_dict"]

# Fields of our states, and what torch's optimizers call the same.
NAMES = {
    "mu": ("exp_avg", "grad_avg"),
    "nu": ("exp_avg_sq", "square_avg", "exp_inf"),
    "nu_max": ("max_exp_avg_sq",),
    "mu_product": ("mu_product",),
    "trace": ("momentum_buffer",),
    "sum_of_squares": ("sum",),
    "e_g": ("square_avg",),
    "e_x": ("acc_delta",),
    "step_sizes": ("step_size",),
    "prev_updates": ("prev",),
    "ax": ("ax",),
    "row_var": ("row_var",),
    "col_var": ("col_var",),
    "variance": ("variance",),
}
_WHERE = "load_state_dict"


def load_state_dict(
    tx: Any,
    params: Any,
    state_dict: Mapping[str, Any],
    *,
    names: Sequence[str] | Mapping[str, str | int] | None = None,
    transpose: Mapping[str, Sequence[int]] | None = None,
    step: int | None = None,
) -> Any:
    """Converts a `state_dict` of a torch optimizer to the state of a transformation of gdjax.

    Learning rates and other hyperparameters are those of `tx`; `param_groups` only give the order.

    >>> from gdjax.compat import torch
    >>> import jax.numpy as jnp
    >>> saved = {"state": {0: {"momentum_buffer": [0.5]}}, "param_groups": [{"params": [0]}]}
    >>> tx = torch.SGD(0.1, momentum=0.9)
    >>> torch.load_state_dict(tx, {"w": jnp.zeros(1)}, saved)[0]
    TraceState(trace={'w': Array([0.5], dtype=float32)})

    Args:
        tx: The transformation, one of `gdjax.compat.torch` or of the same state.
        params: The parameters.
        state_dict: The result of torch's `optimizer.state_dict()`; tensors or arrays.
        names: The assignment of torch's parameters to leaves: the paths of the leaves in torch's
            order, or a dict from paths to torch's names or indices. By default the order of the
            leaves; note that JAX sorts the keys of dicts.
        transpose: A dict from paths to orders of axes, as for `numpy.transpose`, of leaves whose
            axes differ in torch: `{"dense/kernel": (1, 0)}`. Nothing is transposed automatically.
        step: The number of steps, for optimizers without a count (SGD).

    Raises:
        ValueError: An array is missing or has another shape; the message has the path.
    """
    _check(state_dict)
    transpose = transpose or {}
    paths = tree.paths(params)
    order = _order(paths, state_dict, names)
    for path in transpose:
        if path not in paths:
            hint = errors.nearest(path, paths)
            errors.fail(_WHERE, "transpose must name leaves", path, instead=hint)
    kept = state_dict["state"]
    rows = {path: kept.get(order[path], kept.get(str(order[path]), {})) for path in paths}
    steps = [_step(row["step"], path) for path, row in rows.items() if row.get("step") is not None]
    count = max(steps, default=step) if step is None else step

    def field(name: str, old: Any, at: str) -> Any:
        if name == "count":
            if count is None:
                must = f"the count at {at!r} needs the number of steps, which torch does not save"
                errors.fail(_WHERE, must, None, instead="Write step=n.")
            return jnp.asarray(count, old.dtype)
        keys = NAMES.get(name)
        if keys is None:
            errors.fail(_WHERE, f"{at!r} must have a counterpart in torch", name)
        if name == "mu_product":
            return jnp.asarray(_array(_entry(rows[paths[0]], keys, at), at), old.dtype)
        return _leaves(rows, paths, keys, old, at, transpose)

    return _fill(tx.init(params), field, "")


def _check(state_dict: Any) -> None:
    """Checks the form of a `state_dict`."""
    must = "state_dict must be the result of torch's optimizer.state_dict()"
    if not isinstance(state_dict, Mapping):
        errors.fail(_WHERE, must, state_dict)
    if not {"state", "param_groups"} <= set(state_dict):
        errors.fail(_WHERE, must, f"the keys {', '.join(map(str, state_dict)) or 'none'}")
    rows, groups = state_dict["state"], state_dict["param_groups"]
    if not isinstance(rows, Mapping) or not all(isinstance(x, Mapping) for x in rows.values()):
        errors.fail(_WHERE, f"{must}, with a dict of dicts as state", rows)
    lists = isinstance(groups, (list, tuple)) and all(isinstance(x, Mapping) for x in groups)
    named = [x.get("params") for x in groups] if lists else [None]
    if not all(isinstance(x, (list, tuple)) for x in named) or not all(
        isinstance(i, (int, str)) for x in named for i in x
    ):
        errors.fail(_WHERE, f"{must}, with a list of dicts with params as param_groups", groups)


def _step(value: Any, path: str) -> int:
    """The number of steps of a parameter, which torch keeps as a tensor of floats."""
    step = _array(value, f"the step of {path!r}")
    if step.size != 1 or not 0 <= step.item() < 2**31:
        errors.fail(_WHERE, f"the step of {path!r} must be a number below 2**31", str(step))
    return int(step.item())


def _fill(state: Any, field: Any, at: str) -> Any:
    """Fills the fields of all states; current hyperparameters stay."""

    def below(name: Any) -> str:
        return f"{at}/{name}".lstrip("/")

    kind: Any = type(state)
    if isinstance(state, Mapping):
        return kind({k: _fill(part, field, below(k)) for k, part in state.items()})
    names = getattr(state, "_fields", None)
    if names is None:
        return kind(_fill(part, field, below(i)) for i, part in enumerate(state))
    new = {}
    for name in names:
        old = getattr(state, name)
        if name == "inner_state":
            new[name] = _fill(old, field, below(name))
        elif name != "hyperparams":
            new[name] = field(name, old, below(name))
    return state._replace(**new)


def _order(paths: list[str], state_dict: Mapping[str, Any], names: Any) -> dict[str, int]:
    groups = state_dict["param_groups"]
    indices = [i for group in groups for i in group["params"]]
    if len(indices) != len(paths):
        must = f"state_dict must have as many parameters as there are leaves, {len(paths)}"
        errors.fail(_WHERE, must, len(indices))
    if names is None:
        return dict(zip(paths, indices))
    if isinstance(names, Mapping):
        known = {n: i for g in groups for n, i in zip(g.get("param_names", ()), g["params"])}
        known.update({i: i for i in indices})
        for path, name in names.items():
            if name not in known:
                hint = errors.nearest(str(name), map(str, known))
                errors.fail(
                    _WHERE, f"torch must know the parameter of {path!r}", name, instead=hint
                )
        order = {path: known[name] for path, name in names.items()}
    else:
        order = dict(zip(names, indices))
    for path in paths:
        if path not in order:
            hint = errors.nearest(path, order)
            errors.fail(_WHERE, f"names must have the leaf {path!r}", list(order), instead=hint)
    return order


def _entry(row: Mapping[str, Any], keys: tuple[str, ...], at: str) -> Any:
    found = next((row[k] for k in keys if row.get(k) is not None), None)
    if found is None:
        must = f"{at!r} needs torch's {' or '.join(keys)}"
        errors.fail(_WHERE, must, ", ".join(row) or "nothing")
    return found


def _leaves(
    rows: dict[str, Any], paths: list[str], keys: tuple[str, ...], old: Any, at: str, turn: Any
) -> Any:
    inner = dict(zip(tree.paths(old), jax.tree.leaves(old)))
    new = []
    for path, leaf in inner.items():
        where = f"{at}/{path}".rstrip("/")
        value = _array(_entry(rows[path], keys, where), where)
        if path in turn:
            value = np.transpose(value, turn[path])
        if value.shape != leaf.shape:
            must = f"{where!r} must have the shape {leaf.shape}"
            hint = f"If the axes have another order, write transpose={{{path!r}: ...}}."
            errors.fail(_WHERE, must, str(value.shape), instead=hint)
        new.append(jnp.asarray(value, leaf.dtype))
    return jax.tree.unflatten(jax.tree.structure(old), new)


def _array(value: Any, where: str) -> np.ndarray:
    """A tensor (also one of bfloat16, or on another device), or numbers in anything like one."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths, or too deep
        array = np.empty([], object)
    if not (array.dtype.kind == "b" or jnp.issubdtype(array.dtype, jnp.number)):
        errors.fail(_WHERE, f"{where} must be numbers", value)
    return array
