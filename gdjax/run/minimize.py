"""Minimization of a function in one compiled scan, with a stopping rule and a progress bar."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.compare import show
from gdjax.core.engine.checks import check_transformation
from gdjax.core.engine.dispatch import is_data, join, split
from gdjax.core.engine.transformation import GradientTransformation, apply_updates, call_update
from gdjax.core.engine.walk import walk
from gdjax.core.rule import errors, tree
from gdjax.core.rule.tree import joined
from gdjax.run.progress import progress_bar
from gdjax.state.hyperparams import hyperparams

__all__ = ["History", "MinimizeResult", "Status", "minimize"]


class Status(enum.IntEnum):
    """Why a run of `minimize` ended."""

    STEPS = 0  # it took all its steps
    CONVERGED = 1  # the gradient became as short as the tolerance
    DIVERGED = 2  # the loss or the gradient was no longer finite


class History(NamedTuple):
    """History of a run of `minimize`; after an early stop the last entries are repeated."""

    loss: jax.Array  # [steps]: the loss before each step
    params: Any = None  # like params, each [steps + 1, ...], from the start to the end
    aux: Any = None  # like aux, each [steps, ...]
    rates: Any = None  # the learning rates by name, each [steps]
    watched: Any = None  # like what `watch` returns, each [steps, ...]


class MinimizeResult(NamedTuple):
    """What `minimize` returns."""

    params: Any
    state: Any  # of the transformation
    history: History
    status: jax.Array  # [] int32, a `Status`
    steps: jax.Array  # [] int32: updates that were made

    @property
    def ended(self) -> Status:
        """How the run ended, by name; `status` is what compiled programs see."""
        return Status(int(self.status))

    def __repr__(self) -> str:
        """All fields, the status by name."""
        shown = {name: repr(value) for name, value in zip(self._fields, self)}
        if not isinstance(self.status, jax.core.Tracer):
            names = [Status(int(i)).name for i in np.ravel(self.status)]
            shown["status"] = names[0] if np.ndim(self.status) == 0 else f"[{', '.join(names)}]"
        return f"MinimizeResult({', '.join(f'{k}={v}' for k, v in shown.items())})"


def minimize(
    fun: Callable[..., Any],
    params: Any,
    tx: Any,
    steps: int,
    *,
    batches: Any = None,
    tolerance: float | jax.Array | None = None,
    has_aux: bool = False,
    keep: str = "losses",
    watch: Callable[[Any, Any], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimizes a function of a tree of arrays in one compiled scan.

    The numbers of `tx` are arguments of the compiled program, so another rate needs no new
    compilation. `jax.vmap` works over `params`, over `tx`, and over values that `fun` and `batches`
    close over (keys).

    >>> import gdjax as gd, jax.numpy as jnp
    >>> result = gd.minimize(lambda x: jnp.sum(x**2), jnp.ones(2), gd.sgd(0.1), 100, tolerance=1e-3)
    >>> result.ended, int(result.steps)
    (<Status.CONVERGED: 1>, 36)
    >>> result.history.rates["learning_rate"].shape
    (100,)

    Args:
        fun: `fun(params)`, or `fun(params, batch)` if there are batches; returns the loss, [].
        params: The initial parameters, a tree of arrays.
        tx: A transformation, of gdjax or of optax. It gets the extra arguments `value`, `grad` and
            `value_fn` if it takes any.
        steps: The largest number of updates.
        batches: A function of the step ([] int32) that returns its batch, or a tree of arrays whose
            first axis is over the steps, repeated at its end.
        tolerance: Stops before the step at which the norm of the gradient is at most this.
        has_aux: Whether `fun` returns `(loss, aux)`.
        keep: `"losses"`, or `"path"` to keep the parameters of all steps as well.
        watch: A function of the parameters and the state after a step; its results for all steps
            are in `history.watched`: `lambda params, state: gd.state.metrics(state)`. A callback
            on the host goes inside, `jax.debug.callback(log, params)`.
        progress: Whether to show a progress bar with the loss; no cost when off.

    Returns:
        Parameters, state, history, status and the number of updates.

    Raises:
        TypeError: `tx` is no transformation, or `fun` is no function.
        ValueError: `steps` or `keep` is wrong, the loss is no scalar, or the arrays of `batches`
            differ in their first axis.
        ImportError: `progress` needs tqdm: `pip install "gdjax[lab]"`.
        RuntimeError: `progress` needs JAX's CPU device: `JAX_PLATFORMS=cuda,cpu`, not `cuda` alone.
    """
    check_transformation("minimize", "tx", tx, "Write minimize(fun, params, tx, steps).")
    if not callable(fun):
        hint = "Write minimize(lambda params: ..., params, tx, steps)."
        errors.fail("minimize", "fun must be a function", fun, instead=hint, kind=TypeError)
    steps = steps.item() if isinstance(steps, np.integer) else steps
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        errors.fail("minimize", "steps must be a positive Python integer", steps)
    leaves = jax.tree.leaves(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not (is_data(leaf) or isinstance(leaf, bool)):
            at = jax.tree_util.keystr(path, simple=True, separator="/")
            hint = "Write params, rest = eqx.partition(model, eqx.is_array), or the like."
            must = f"params must be arrays and numbers, at {at!r}"
            errors.fail("minimize", must, show(leaf), instead=hint, kind=TypeError)
    if leaves and not any(map(tree.differentiable, leaves)):
        hint = "Write jax.tree.map(lambda x: jnp.asarray(x, float), params)."
        must = "params must have floating-point numbers"
        got = ", ".join(sorted({str(jnp.result_type(x)) for x in leaves}))
        errors.fail("minimize", must, got, instead=hint, kind=TypeError)
    if keep not in ("losses", "path"):
        errors.fail("minimize", 'keep must be "losses" or "path"', keep)
    if batches is not None and not callable(batches):
        sizes = {jnp.shape(x)[:1] for x in jax.tree.leaves(batches)}
        if len(sizes) != 1 or sizes == {()}:
            errors.fail("minimize", "batches must share their first axis", f"lengths {sizes}")
    # Numbers of tx are traced, functions and structure are compiled in; the same for batches.
    static, arrays = split((tx, batches), is_data)
    bar = progress_bar(steps) if progress else None
    run = functools.partial(_run, static, fun, steps, has_aux, keep == "path", watch, bar)
    result = run(arrays, params, tolerance)
    if progress and not isinstance(jax.tree.leaves(result)[0], jax.core.Tracer):
        jax.block_until_ready(result)
        jax.effects_barrier()  # the bar has drawn its last
    return result


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 5, 6))
def _run(static, fun, steps, has_aux, keep_path, watch, bar, arrays, params, tolerance):
    tx, batches = join(static, arrays)
    params = jax.tree.map(_strong, params)
    gradient = jax.value_and_grad(fun, has_aux=has_aux, allow_int=True)

    def args_at(i: jax.Array) -> tuple:
        return () if batches is None else (_batch(batches, i),)

    def evaluate(i: jax.Array, params: Any) -> tuple[Any, Any, Any, Callable[[Any], Any]]:
        args = args_at(i)
        value, grads = gradient(params, *args)
        loss, aux = value if has_aux else (value, None)
        grads = jax.tree.map(lambda g: jnp.conj(g) if jnp.iscomplexobj(g) else g, grads)
        at = lambda p: fun(p, *args)[0] if has_aux else fun(p, *args)
        return loss, aux, grads, at

    # Where it may stop early, `cond` skips the remaining steps. Elsewhere results are selected:
    # `vmap` makes of a `cond` a copy of all its operands, the data that `fun` closes over too.
    choose = _select if tolerance is None else jax.lax.cond

    def move(i: jax.Array, carry: _Carry) -> _Carry:
        params, state, *_, done = carry
        loss, aux, grads, value_fn = evaluate(i, params)
        length = tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(length)
        arrived = jnp.zeros([], bool) if tolerance is None else length <= tolerance
        status = jnp.where(finite, jnp.where(arrived, Status.CONVERGED, 0), Status.DIVERGED)

        def go() -> tuple[Any, Any]:
            extra = {"value": loss, "grad": grads, "value_fn": value_fn}
            updates, after = call_update(tx, grads, state, params, extra)
            return apply_updates(params, updates), after

        params, state = choose(status == 0, go, lambda: (params, state))
        taken = done + (status == 0).astype(jnp.int32)
        return _Carry(params, state, loss, aux, status.astype(jnp.int32), taken)

    def body(carry: _Carry, i: jax.Array) -> tuple[_Carry, Any]:
        after = choose(carry.status == 0, lambda: move(i, carry), lambda: carry)
        if bar is not None:
            due = (i == 0) | ((i + 1) % bar.every == 0) | (i + 1 == steps)
            jax.lax.cond(due, lambda: bar.report(i + 1, after.loss), lambda: None)
        watched = watch(after.params, after.state) if watch else None
        path = carry.params if keep_path else None
        return after, History(after.loss, path, after.aux, _rates(tx, after.state), watched)

    zero = jnp.zeros([], jnp.int32)
    first = jax.eval_shape(fun, params, *args_at(zero))
    loss, aux = first if has_aux else (first, None)
    if jnp.shape(loss) != ():
        errors.fail("minimize", "fun must return a scalar loss", f"shape {jnp.shape(loss)}")
    loss, aux = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (loss, aux))
    carry = _Carry(params, tx.init(params), loss, aux, zero, zero)
    end, history = jax.lax.scan(body, carry, jnp.arange(steps, dtype=jnp.int32))
    if keep_path:
        append = lambda before, last: jnp.concatenate([before, last[None]])
        history = history._replace(params=jax.tree.map(append, history.params, end.params))
    return MinimizeResult(end.params, end.state, history, end.status, end.taken)


def _rates(tx: Any, state: Any) -> dict[str, jax.Array]:
    """The learning rates in use, by their names in `hyperparams`."""
    paths = [
        (*visit.path, name)
        for visit in walk(tx, state)
        if visit.given and isinstance(visit.tx, GradientTransformation)
        for name in visit.tx.having("learning rate")
    ]
    found = hyperparams(tx, state) if paths else {}
    return {name: found[name] for name in joined(paths) if name in found}


class _Carry(NamedTuple):
    params: Any
    state: Any
    loss: jax.Array
    aux: Any
    status: jax.Array
    taken: jax.Array


def _strong(x: Any) -> jax.Array:
    """An array without a weak type, as needed for a scan."""
    x = jnp.asarray(x)
    return jax.lax.convert_element_type(x, x.dtype) if tree.differentiable(x) else x


def _select(condition: jax.Array, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), then(), otherwise())


def _batch(batches: Any, i: jax.Array) -> Any:
    return batches(i) if callable(batches) else jax.tree.map(lambda x: x[i % len(x)], batches)
