"""A run with a history; beside it the same run without one, and the plain run."""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import gdjax as gd
from gdjax.core.lowbit.quantized import is_quantized
from gdjax.core.rule import tree
from gdjax.state import saving
from tests.histories import compare
from tests.histories.optimizers import BOOKKEEPING, build_optimizer
from tests.histories.plain import Base, Parts, clone, plain
from tests.histories.savers import SAVERS
from tests.histories.trees import build_tree, gradients

ROUNDS = ("stochastic_rounding", "compensated", "with_split_weights", "store", "bfloat16")


class Refused(Exception):
    """An optimizer or an action is not for these parameters, and says so."""


@functools.lru_cache(maxsize=200)
def program(tx: Any, how: str) -> Any:
    """A step; `eager` is compiled by the call itself."""
    if how == "eager":
        return tx.step
    if how == "donated":
        return jax.jit(tx.step, donate_argnums=(1, 2))
    if how == "update":

        def step(grads, state, params):
            updates, state = tx.update(grads, state, params)
            return gd.apply_updates(params, updates), state

        return jax.jit(step)
    return jax.jit(tx.step)


class Run:
    """A run of an optimizer. Each action is a method, and checks what it promises.

    `twin` is the same run without the actions that must not matter, bit for bit; `plain` is the run
    of the optimizer inside of the wrappers, equal to rounding.
    """

    def __init__(self, optimizer: str, parameters: str) -> None:
        self.optimizer, self.parameters = optimizer, parameters
        params = build_tree(parameters)
        try:
            self.tx = build_optimizer(optimizer)
            self.state = self.tx.init(params)
        except (ValueError, TypeError) as error:
            is_clear(error)
            raise Refused(str(error)) from error
        self.params = jax.tree.map(jnp.asarray, params)  # a step makes arrays of Python numbers
        compare.near(gd.state.eval_params(self.tx, self.state, params), params, "eval_params")
        compare.same(self.tx.init(self.params), self.state, "init of arrays")
        self.number, self.at = 0, "start"
        self.plain = plain(self.tx, self.params)
        if isinstance(self.plain, Base) and self.plain.bases()[0][1] is self.plain:
            self.plain = None if self.plain.bases()[0][0] == () else self.plain
        self._now(self.tx, self.state)

    def _now(self, tx: Any, state: Any) -> None:
        """Goes on with a transformation and a state, which are not those of before."""
        self.tx, self.state = tx, state
        self.twin = self.params, self.state
        self.expected = self.params
        self.kept = compare.avals(state), list(compare.names(tx, state))

    def check(self) -> None:
        """What holds after each action."""
        now = compare.avals(self.state), list(compare.names(self.tx, self.state))
        assert now == self.kept, f"the state changed: {self.kept} is now {now}"
        compare.same((self.params, self.state), self.twin, "twin")
        if self.plain is None:
            return
        compare.near(self.params, self.expected, "plain")
        ours = compare.names(self.tx, self.state)
        of_bases = set()
        for path, base in self.plain.bases():
            for name, x in compare.names(base.tx, base.state).items():
                of_bases.add((*path, *name))
                assert (*path, *name) in ours, f"no array {(*path, *name)}"
                compare.near_array(ours[*path, *name], x, f"plain {(*path, *name)}")

        number = collections.Counter()
        for path, owner, fields in self.plain.counts():
            inside = {n[: len(path) + 2] for n in of_bases if n[: len(path) + 1] == (*path, owner)}
            at = (*path, owner, len(inside) + number[*path, owner])
            number[*path, owner] += 1
            for field, count in fields.items():
                got = float(ours[*at, *field.split("/")])
                assert np.isclose(got, count), f"count {(*at, field)}: {got} is not {count}"

    # Steps.

    def step(self, how: str, times: int) -> None:
        """Some steps: eager, under `jit`, donated, or by `update`."""
        for _ in range(times):
            self._advance(self._gradients(), how)

    def _gradients(self) -> Any:
        self.number += 1
        return gradients(self.params, self.number)

    def _advance(self, grads: Any, how: str = "jit") -> None:
        call = program(self.tx, how)
        own = lambda x: jnp.copy(x) if how == "donated" else x
        state, params = jax.tree.map(own, (self.state, self.params))
        twin = jax.tree.map(own, self.twin)
        self.params, self.state = call(grads, state, params)
        self.twin = call(grads, twin[1], twin[0])
        if self.plain is not None:
            self.expected, _ = self.plain.step(grads, self.expected)

    def bad(self, value: str, times: int) -> None:
        """Gradients with a NaN or an infinity; without a guard back to what was saved before."""
        saved, params, before = gd.state.to_dict(self.tx, self.state), self.params, self.twin
        mark = clone(self.plain), self.expected
        for _ in range(times):
            self._advance(spoilt(self._gradients(), float(value)))
        self.check()
        if not compare.finite((self.params, self.state)):
            self.state, report = gd.state.from_dict(self.tx, params, saved)
            assert not (report.new or report.dropped or report.changed), report
            self.params, self.twin = params, before
            self.plain, self.expected = mark

    def wrong(self, kind: str) -> None:
        """Gradients of another shape, structure or kind: an error, and the state can be used."""
        grads, before = self._gradients(), (self.params, self.state)
        marks = jax.tree.map(np.array, jax.tree.map(compare.data, before))
        try:
            program(self.tx, "donated")(broken(grads, kind), self.state, self.params)
        except (ValueError, TypeError) as error:
            is_clear(error)
        else:
            raise AssertionError(f"gradients of another {kind} were taken")
        compare.same(jax.tree.map(compare.data, before), marks, f"after a wrong {kind}")

    # What must not matter.

    def save(self, how: str) -> None:
        """Saves to a file and restores; with `process` in another process, and steps there."""
        saved = gd.state.to_dict(self.tx, self.state)
        if how == "orbax" and any(np.size(x) == 0 for x in saved.values()):
            raise Refused("Orbax saves no arrays without entries, nor parameters of that kind")
        with tempfile.TemporaryDirectory() as folder:
            if how == "process":
                return self._elsewhere(saved, pathlib.Path(folder))
            read = SAVERS[how](saved, pathlib.Path(folder))
        self.state, report = gd.state.from_dict(self.tx, self.params, read)
        assert not (report.new or report.dropped or report.changed), report
        assert all(a == b for a, b in report.kept.items()), report

    def _elsewhere(self, saved: dict[str, Any], folder: pathlib.Path) -> None:
        SAVERS["npz"](saved, folder)
        job = (self.tx, self.parameters, self.number, [*map(compare.data, self._leaves())])
        (folder / "job").write_bytes(pickle.dumps(job))
        subprocess.run([sys.executable, "-m", "tests.histories.elsewhere", folder], check=True)
        leaves, read = pickle.loads((folder / "done").read_bytes())
        self.step("jit", 2)
        for mine, theirs in zip(self._leaves(), leaves, strict=True):
            compare.same(compare.data(mine), theirs, "params of another process")
        self.state, _ = gd.state.from_dict(self.tx, self.params, read)

    def _leaves(self) -> list[Any]:
        return jax.tree.leaves(self.params)

    def pickled(self) -> None:
        """The optimizer, its state and its JSON in place of themselves."""
        tx, self.state = pickle.loads(pickle.dumps((self.tx, self.state)))
        assert tx == self.tx and hash(tx) == hash(self.tx)
        if "odd" not in repr(tx):  # a function is no JSON
            tx = gd.build(json.loads(json.dumps(gd.spec(tx))))
            assert tx == self.tx, f"{tx} is not {self.tx}"
        self.tx = tx

    def look(self) -> None:
        """Everything that only reads."""
        tx, state, params = self.tx, self.state, self.params
        assert compare.finite(gd.state.hyperparams(tx, state))
        gd.state.metrics(state)
        gd.explain(tx, params)
        assert gd.state.nbytes(state) >= 0
        same_params = gd.state.reset(tx, state, params, where=False)
        compare.same(same_params, state, "reset of nothing")
        point = gd.state.eval_params(tx, state, params)
        assert compare.avals(point)[0] == compare.avals(params)[0], "eval_params: structure"
        for x, p in zip(jax.tree.leaves(point), self._leaves()):
            assert (x.shape, x.dtype) == (p.shape, p.dtype), "eval_params: dtypes"
        if self.plain is not None:
            compare.near(point, like(self.plain.evaluate(self.expected), params), "average")

    def threads(self) -> None:
        """Two threads take the same step, and trace the same program."""
        grads = self._gradients()
        args = grads, self.state, self.params
        fresh = pickle.loads(pickle.dumps(self.tx))

        def work(_: int) -> Any:
            return self.tx.step(*args), str(jax.make_jaxpr(fresh.step)(*args))

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            one, two = pool.map(work, range(2))
        alone = work(0)
        for got in (one, two):
            compare.same(got[0], alone[0], "of two threads")
            assert got[1] == alone[1], "two threads traced another program"
        self._advance(grads, "eager")

    def mesh(self, devices: int) -> None:
        """Onto a mesh and back is the same; a step there, the same to rounding."""
        mesh = jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

        def place(x: Any) -> Any:
            split = np.ndim(x) and np.shape(x)[0] and np.shape(x)[0] % devices == 0
            return NamedSharding(mesh, PartitionSpec("data") if split else PartitionSpec())

        grads = self._gradients()
        params = jax.device_put(self.params, jax.tree.map(place, self.params))
        placed = gd.sharding.state(self.tx, params)
        state = jax.device_put(self.state, placed)
        there = program(self.tx, "jit")(_on(grads, mesh, place), state, params)
        restored, _ = gd.state.from_dict(self.tx, params, gd.state.to_dict(self.tx, self.state))
        compare.same(restored, self.state, "restored on a mesh")
        home = jax.devices()[0]
        self.state = jax.device_put(state, home)
        self._advance(grads)
        if not any(word in repr(self.tx) + self.parameters for word in ROUNDS):
            got = jax.device_put(there, home)
            compare.near(got, (self.params, self.state), "a step on a mesh")

    # Changes of the optimizer.

    def set_number(self, value: float) -> None:
        """Sets each live number; a negative rate is refused, and changes nothing."""
        names = list(gd.state.hyperparams(self.tx, self.state))
        live = [name for name in names if self._is_live(name)]
        if not live:
            raise Refused("nothing is live")
        state = gd.state.set_hyperparams(self.tx, self.state, {name: value for name in live})
        for name, x in gd.state.hyperparams(self.tx, state).items():
            assert name not in live or float(x) == np.float32(value), name
        assert compare.avals(state) == self.kept[0]
        self.state, self.twin = state, (self.twin[0], state)
        for _, base in self.plain.bases() if self.plain is not None else ():
            for name in gd.state.hyperparams(base.tx, base.state):
                if _sets(base.tx, base.state, name, value) is not None:
                    base.state = _sets(base.tx, base.state, name, value)

    def _is_live(self, name: str) -> bool:
        return _sets(self.tx, self.state, name, 0.01) is not None

    def edit(self, value: float) -> None:
        """Another learning rate by `replace`: the state goes on as it is."""
        try:
            tx = self.tx.replace(learning_rate=value)
        except (TypeError, ValueError, KeyError) as error:
            raise Refused(str(error)) from error
        shapes = jax.eval_shape(tx.init, self.params)
        if jax.tree.structure(shapes) != jax.tree.structure(self.state):
            raise Refused("a number in place of a schedule is another state")
        self.tx = tx
        for _, base in self.plain.bases() if self.plain is not None else ():
            try:
                base.tx = base.tx.replace(learning_rate=value)
            except (TypeError, ValueError, KeyError):  # one of several optimizers
                continue

    def wrap(self, template: int) -> None:
        """Restores into the optimizer in one more wrapper, which moves no parameter."""
        words = BOOKKEEPING[template % len(BOOKKEEPING)].format("inner")
        try:
            tx = eval(words, {"gd": gd, "inner": self.tx})
            fresh = tx.init(self.params)
        except (TypeError, ValueError) as error:  # `store` finds nothing
            is_clear(error)
            raise Refused(str(error)) from error
        self._restore(tx, fresh)
        if self.plain is None:
            return
        self.plain = plain(tx, self.params, inside=self.plain)

    def unwrap(self) -> None:
        """Restores into the optimizer without its outermost wrapper, which moves no parameter."""
        if self.tx.name not in {text.split("(")[0].removeprefix("gd.") for text in BOOKKEEPING}:
            raise Refused("the outermost wrapper moves parameters, or there is none")
        tx = self.tx.arguments["inner"]
        self._restore(tx, tx.init(self.params))
        if self.plain is not None:
            self.plain = self.plain.inner

    def change(self, how: str) -> None:
        """Restores into the optimizer with a stage more, as one part, or with a schedule."""
        if how == "stage":
            tx = gd.chain(gd.scale(1.0), self.tx)
        elif how == "part":
            tx = gd.partition(gd.by_label(all=True), all=self.tx)
        else:
            self.edit(0.02)
            tx = self.tx.replace(learning_rate=gd.constant_schedule(0.02))
        self._restore(tx, tx.init(self.params))
        if how == "part" and self.plain is not None:
            everything = jax.tree.map(lambda p: True, self.params)
            self.plain = Parts([(everything, self.plain, ("all",))])

    def _restore(self, tx: Any, fresh: Any) -> None:
        """Into another optimizer: every array of the same name, bit for bit, and a full report."""
        saved = gd.state.to_dict(self.tx, self.state)
        of_new, of_old = (set(gd.state.to_dict(tx, fresh)), set(saved)) if saved else (set(), set())
        try:
            state, report = gd.state.from_dict(tx, self.params, saved, strict=False)
        except ValueError as error:
            is_clear(error)
            assert "a name in common" in str(error) and not (of_new & of_old) - {saving.ABOUT}
            state = fresh
        else:
            before, after = (compare.names(t, s) for t, s in ((self.tx, self.state), (tx, state)))
            for name in before.keys() & after.keys():
                if is_quantized(before[name]) and not is_quantized(after[name]):
                    before[name] = before[name].value()
                compare.same(after[name], before[name], f"restored {name}")
            kept = {".".join(map(str, name)) for name in before.keys() & after.keys()}
            assert len(report.kept) >= len(kept), (report, kept)
            assert len(report.kept) + len(report.new) == len(after), report
            assert len(set(report.kept.values())) + len(report.dropped) == len(before), report
        expected = self.expected
        self._now(tx, state)
        self.expected = expected

    def cast(self, dtype: str) -> None:
        """Restores for parameters of another dtype; every array that fits is kept, and a step is
        finite. The run itself goes on as it was."""
        to = lambda x: x.astype(dtype) if tree.differentiable(x) else x
        params = jax.tree.map(to, self.params)
        saved = gd.state.to_dict(self.tx, self.state)
        if len(saved) == 1:
            raise Refused("there is no state")
        state, report = gd.state.from_dict(self.tx, params, saved, strict=False)
        fresh = self.tx.init(params)
        assert compare.avals(state) == compare.avals(fresh), "restored for another dtype"
        assert not {name for name in report.dropped if name in report.new}, report
        for name, x in compare.names(self.tx, state).items():
            before = compare.names(self.tx, self.state).get(name)
            if before is not None and not hasattr(x, "codes") and not hasattr(before, "codes"):
                if before.shape == x.shape:
                    compare.near_array(x, before, f"cast {name}", 20.0)
        grads = gradients(params, self.number)
        after = program(self.tx, "jit")(grads, state, params)
        assert compare.avals(after) == compare.avals((params, state)), "a step of another dtype"


def _sets(tx: Any, state: Any, name: str, value: float) -> Any:
    try:
        return gd.state.set_hyperparams(tx, state, {name: value})
    except KeyError:
        return None


def _on(grads: Any, mesh: Any, place: Any) -> Any:
    one = lambda g: g if g.dtype == jax.dtypes.float0 else jax.device_put(g, place(g))
    return jax.tree.map(one, grads)


def like(values: Any, params: Any) -> Any:
    """Values in the dtypes of parameters."""
    one = lambda x, p: jnp.asarray(x).astype(p.dtype) if tree.differentiable(p) else p
    return jax.tree.map(one, values, params)


def spoilt(grads: Any, value: float) -> Any:
    """The gradients with a value at the last entry of each array."""

    def one(g: Any) -> Any:
        if not tree.differentiable(g) or not g.size:
            return g
        g = np.array(g)
        g[(-1,) * g.ndim] = value
        return g

    return jax.tree.map(one, grads)


def broken(grads: Any, kind: str) -> Any:
    """The gradients, one of which is of another shape, is missing, or is of another kind."""
    leaves, treedef = jax.tree.flatten(grads)
    at = [i for i, g in enumerate(leaves) if tree.differentiable(g)]
    if not at:
        raise Refused("nothing is trained")
    i = at[0]
    if kind == "structure":
        return [grads]
    g = leaves[i]
    new = {
        "shape": lambda: jnp.ones((*g.shape, 5), g.dtype),
        "integers": lambda: jnp.ones(g.shape, jnp.int32),
        "flags": lambda: jnp.ones(g.shape, bool),
        "complex": lambda: jnp.ones(g.shape, jnp.complex64),
    }[kind]()
    return treedef.unflatten([*leaves[:i], new, *leaves[i + 1 :]])


def is_clear(error: Exception) -> None:
    """An error of gdjax: a name, what must hold, and what was got."""
    text = str(error)
    assert ": " in text and ("must" in text or "Write" in text), (
        f"no clear error: {type(error).__name__}: {text}"
    )
