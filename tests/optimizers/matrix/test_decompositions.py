"""What SOAP and Shampoo do every few steps stands under a condition of the compiled program."""

import re

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd


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


@pytest.mark.parametrize("make", [gd.scale_by_soap, gd.scale_by_shampoo], ids=["soap", "shampoo"])
def test_decompositions_are_under_a_condition(make):
    """Steps that refresh nothing run no eigh and no QR, in the compiled program."""
    params = {"a": jnp.ones((4, 6)), "b": jnp.ones((4, 6)), "c": jnp.ones((3, 5))}
    tx = make(every=10)
    step = jax.jit(tx.update).lower(params, tx.init(params)).compile().as_text()
    assert "conditional(" in step and re.search("syevd|geqrf", step)
    assert not re.search("syevd|geqrf", always_run(step))
    alone = jax.jit(jax.vmap(jnp.linalg.eigh)).lower(jnp.ones((2, 3, 3))).compile().as_text()
    assert re.search("syevd", always_run(alone))  # it would be seen
