"""What SOAP and Shampoo do every few steps stands under a condition of the compiled program."""

import re

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.helpers import close, normal


def always_run(program):
    """The text of those computations of a compiled program that no condition decides about."""
    texts, entry = {}, None
    for part in re.split(r"\n(?=(?:ENTRY )?%?[\w.\-]+ \([^\n]*\{\n)", program):
        name = re.match(r"(ENTRY )?%?([\w.\-]+) \(", part)
        if name:
            texts[name[2]] = part
            entry = name[2] if name[1] else entry
    found, todo = {}, [entry]
    while todo:
        name = todo.pop()
        lines = [line for line in texts[name].splitlines() if " conditional(" not in line]
        found[name] = "\n".join(lines)
        called = re.findall(r"(?:calls|to_apply|body|condition)=%?([\w.\-]+)", found[name])
        todo += [c for c in called if c in texts and c not in found]
    return "\n".join(found.values())


CALLS = "syevd|geqrf|gesdd|trsm"  # of LAPACK and BLAS, in programs for a CPU
EVERY_FEW_STEPS = {
    "soap": gd.scale_by_soap(every=10),
    "shampoo": gd.scale_by_shampoo(eps=1e-2, every=10),
    "kl_shampoo": gd.scale_by_kl_shampoo(every=10),
    "kron": gd.scale_by_kron(preconditioner_update_probability=0.1),
    "galore": gd.scale_by_galore(rank=2, every=10),
}


@pytest.mark.parametrize("how", ["alone", "vmap", "vmap of vmap"])
@pytest.mark.parametrize("name", EVERY_FEW_STEPS)
def test_decompositions_are_under_a_condition(name, how):
    """Steps that refresh nothing run no eigh and no QR, in a sweep over seeds or rates too."""
    tx = EVERY_FEW_STEPS[name]
    params = {"a": jnp.ones((4, 6)), "b": jnp.ones((4, 6)), "c": jnp.ones((3, 5))}
    update, state = tx.update, tx.init(params)
    for _ in range(how.count("vmap")):
        update = jax.vmap(update)
        params, state = jax.tree.map(lambda x: jnp.stack([x, x]), (params, state))
    step = jax.jit(update).lower(params, state).compile().as_text()
    assert "conditional(" in step and re.search(CALLS, step)
    assert not re.search(CALLS, always_run(step))
    alone = jax.jit(jax.vmap(jnp.linalg.eigh)).lower(jnp.ones((2, 3, 3))).compile().as_text()
    assert re.search(CALLS, always_run(alone))  # it would be seen


@pytest.mark.parametrize("name", EVERY_FEW_STEPS)
def test_elements_of_a_batch_refresh_when_each_is_due(name, x64):
    """A state before its first step and one before its fourth, in one batch: as each alone."""
    tx = EVERY_FEW_STEPS[name]
    grads = [{"a": jnp.asarray(normal(4, 6, seed=t))} for t in range(13)]
    late = early = tx.init(grads[0])
    for g in grads[:7]:
        _, late = tx.update(g, late)
    both = jax.tree.map(lambda *x: jnp.stack(x), early, late)
    update, batched = jax.jit(tx.update), jax.jit(jax.vmap(tx.update, (None, 0)))
    for g in grads[7:]:
        u, early = update(g, early)
        v, late = update(g, late)
        uv, both = batched(g, both)
        close(uv, jax.tree.map(lambda *x: jnp.stack(x), u, v), rtol=1e-9, atol=1e-12)
