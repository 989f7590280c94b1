"""A transformation inside one branch of `lax.cond`, at no cost in the other branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from gdjax.core.engine.rule import Child, Rule, merged
from gdjax.core.engine.transformation import call_step, call_update
from gdjax.core.rule import tree
from gdjax.core.rule.numerics import like

__all__ = ["guarded", "step_over", "update_over"]


def guarded(
    inner: Any,
    init: Callable[[Any], Any],
    decide: Callable[[Any, Any, dict[str, Any]], tuple[Any, Any]],
    *,
    given: Callable[[Any, Any], Any] = lambda updates, state: updates,
    otherwise: Callable[[Any], Any] | None = None,
    needs: str | None = None,
    couples: bool = True,
) -> Rule:
    """A wrapper that runs or skips a step of a transformation, in a branch.

    Args:
        inner: The transformation; its state is the field `inner_state`.
        init: Makes the state.
        decide: Takes updates, state and extra arguments; returns whether to take the step, [] bool,
            and the state after this call but for the inner one.
        given: Makes of updates and state what the transformation gets.
        otherwise: Makes of the updates those that leave where the step is left out; zeros if None.
        needs: Name of an extra argument that `decide` reads.
        couples: Whether `decide` looks at all updates together.
    """

    def update(updates, state, params=None, **extra):
        take, after = decide(updates, state, extra)

        def act():
            return call_update(inner, given(updates, state), state.inner_state, params, extra)

        out, inner_state = update_if(take, act, updates, state.inner_state, otherwise)
        return out, after._replace(inner_state=inner_state)

    def step(updates, state, params, **extra):
        take, after = decide(updates, state, extra)

        def act():
            return call_step(inner, given(updates, state), state.inner_state, params, extra)

        rest = lambda: (params, state.inner_state)
        moved, inner_state = either(take, _of_numbers(act), _of_numbers(rest))
        return merged(moved, params), after._replace(inner_state=inner_state)

    return Rule(
        init,
        update,
        step if otherwise is None else None,
        children=(Child("inner", inner, at="inner_state"),),
        couples=couples,
        skips=True,
        needs=() if needs is None else (needs,),
    )


def update_if(
    flag: Any,
    update: Callable[[], tuple[Any, Any]],
    updates: Any,
    state: Any,
    otherwise: Callable[[Any], Any] | None = None,
) -> tuple[Any, Any]:
    """`update()` where a flag holds, else `(otherwise(updates), state)`; one of them is computed.

    Args:
        flag: [] bool.
        update: Returns `(updates, state)`, in the structure of the two that are given here.
        updates: What came in.
        state: What is kept where the flag does not hold.
        otherwise: Makes the updates of the other branch, by default zeros; their dtypes become
            those of `update()`.
    """
    gs, treedef = jax.tree.flatten(updates, is_leaf=tree.is_none)

    def numbers(tree_: Any) -> list[Any]:  # float0 cannot leave a branch
        leaves = jax.tree.leaves(tree_, is_leaf=tree.is_none)
        return [x if tree.differentiable(x) else None for x in leaves]

    def act() -> Any:
        out, after = update()
        return numbers(out), after

    expected, _ = jax.eval_shape(act)

    def rest() -> Any:
        if otherwise is None:
            return [_zeros(flag, i, to) for i, to in enumerate(expected)], state
        leaves = zip(numbers(otherwise(updates)), expected)
        return [None if to is None else jnp.asarray(x).astype(to.dtype) for x, to in leaves], state

    out, after = either(flag, act, rest)
    out = [g if u is None and not tree.differentiable(g) else u for g, u in zip(gs, out)]
    return treedef.unflatten(out), after


def update_over(
    flag: Any, update: Callable[[], tuple[Any, Any]], updates: Any, state: Any, kept: Any
) -> tuple[Any, Any, Any]:
    """`(*update(), zeros)` where a flag holds, else `(zeros, state, kept)`; one is computed.

    Updates take the place of `kept`, a tree like them, which then needs no second one for zeros:
    a program that applies them writes to no memory but the parameters' and the state's.
    """
    out, _ = jax.eval_shape(update)
    fits = jax.tree.structure(out) == jax.tree.structure(kept)
    if not fits or not all(map(_holds, jax.tree.leaves(out), jax.tree.leaves(kept))):
        out, state = update_if(flag, update, updates, state)
        return out, state, jax.tree.map(lambda k: jnp.where(flag, jnp.zeros_like(k), k), kept)
    both, state = update_if(flag, update, updates, state, lambda _: kept)
    out = tree.map(lambda x: jnp.where(flag, x, 0), both)
    after = lambda x, k: None if k is None else like(jnp.where(flag, 0, x), k)
    return out, state, jax.tree.map(after, both, kept, is_leaf=tree.is_none)


def step_over(
    flag: Any, step: Callable[[], tuple[Any, Any]], params: Any, state: Any, kept: Any
) -> tuple[Any, Any, Any]:
    """`(*step(), zeros)` where a flag holds, else `(params, state, kept)`; one is computed."""
    leaves, treedef = jax.tree.flatten(kept)
    stay = _of_numbers(lambda: (params, state))

    def branches(step: Callable[[], Any]) -> tuple[Any, Any, list[Any]]:
        act, rest = (lambda: (*step(), True)), (lambda: (*stay(), False))
        moved, after, done = jax.lax.cond(flag, act, rest)
        # Behind the first branch, which reads what is kept: so it is overwritten and not copied.
        zeros = lambda: [_zeros(~done, i, x) for i, x in enumerate(leaves)]
        return moved, after, jax.lax.cond(done, zeros, lambda: leaves)

    def selects(step: Callable[[], Any]) -> tuple[Any, Any, list[Any]]:
        moved, after = _select(flag, step(), stay())
        return moved, after, [jnp.where(flag, 0, x) for x in leaves]

    moved, state, leaves = _by_platform(_of_numbers(step), branches, selects)
    return merged(moved, params), state, treedef.unflatten(leaves)


def _of_numbers(step: Callable[[], tuple[Any, Any]]) -> Callable[[], tuple[Any, Any]]:
    """A step without what no branch can return: functions and flags of a module."""

    def numbers() -> tuple[Any, Any]:
        params, state = step()
        return tree.numbers(params), state

    return numbers


def either(flag: Any, act: Callable[[], Any], rest: Callable[[], Any]) -> Any:
    """`act()` where a flag holds, else `rest()`; one of them is computed if that saves work."""
    branches = lambda act: jax.lax.cond(flag, act, rest)
    return _by_platform(act, branches, lambda act: _select(flag, act(), rest()))


def _select(flag: Any, some: Any, others: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(flag, x, y), some, others)


def _by_platform(
    act: Callable[[], Any],
    branches: Callable[[Callable[[], Any]], Any],
    selects: Callable[[Callable[[], Any]], Any],
) -> Any:
    """Branches; but on a GPU selects, where what they spare is arithmetic alone.

    XLA on a GPU copies what goes through a branch, and the kernels of a branch are further ones.
    Selects go into the kernels that are there anyway.
    """
    program, shapes = jax.make_jaxpr(act, return_shape=True)()  # traced once for both
    run = jaxpr_as_fun(program)
    traced = lambda: jax.tree.structure(shapes).unflatten(run())
    if _works(program.jaxpr):
        return branches(traced)
    on_gpu, elsewhere = (lambda: selects(traced)), (lambda: branches(traced))
    return jax.lax.platform_dependent(cuda=on_gpu, rocm=on_gpu, default=elsewhere)


# What costs more than to read and to write what it is made of.
_WORK = {"dot_general", "conv_general_dilated", "while", "scan", "sort", "fft", "custom_call"}
_WORK |= {"cholesky", "eigh", "lu", "qr", "householder_product", "svd", "triangular_solve"}
_WORK |= {"psum", "psum2", "psum_invariant"}  # what goes from device to device


def _works(program: Any) -> bool:
    """Whether a program does more than arithmetic on entries and sums."""
    for equation in program.eqns:
        inside = [x for p in equation.params.values() for x in (p if type(p) is tuple else (p,))]
        bodies = [getattr(x, "jaxpr", x) for x in inside]
        if equation.primitive.name in _WORK or any(_works(x) for x in bodies if hasattr(x, "eqns")):
            return True
    return False


def _holds(to: Any, x: Any) -> bool:
    """Whether what has the dtype of `x` keeps its value in that of `to`."""
    if to.dtype == x.dtype:
        return True
    alike = jnp.iscomplexobj(to) == jnp.iscomplexobj(x)
    return alike and jnp.finfo(to.dtype).bits > jnp.finfo(x.dtype).bits


def _zeros(nonzero: Any, number: int, to: Any) -> Any:
    """Zeros where a flag does not hold, by a formula of its own for each leaf.

    Of leaves whose zeros are one expression XLA on CPU writes one, and copies it for the others.
    """
    if to is None:
        return None
    # Of its type are the shardings of a mesh, and the axes of shard_map along which it differs.
    return jnp.full_like(to, jnp.where(nonzero, 1 + number, 0), dtype=to.dtype)
