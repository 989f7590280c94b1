"""The fuzz as a command: `python -m tests.compat.optax.fuzz --count 10000`."""

import warnings

from tests import conftest  # noqa: F401  (the flags of the compiler, before JAX starts)
from tests.compat.optax.fuzz.report import main

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what optax deprecates is called as well
    raise SystemExit(bool(main()))
