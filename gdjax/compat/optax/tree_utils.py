"""The namespace `optax.tree_utils`: the functions of `optax.tree` under longer names."""

from gdjax.compat.optax import tree
from gdjax.compat.optax.tree_search import NamedTupleKey

__all__ = ["NamedTupleKey", *(f"tree_{name}" for name in tree.__all__)]

globals().update({f"tree_{name}": getattr(tree, name) for name in tree.__all__})
