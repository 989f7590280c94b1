"""The pair `(init, update)`, as Python and as type checkers see it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

Params = TypeVar("Params")
State = TypeVar("State")
Updates = TypeVar("Updates")


class Init(Protocol):
    """The first function of a transformation."""

    def __call__(self, params: Any) -> Any:
        """Makes the state before the first step."""


class Update(Protocol):
    """The second function of a transformation."""

    def __call__(
        self, updates: Updates, state: State, params: Any = None, **extra: Any
    ) -> tuple[Updates, State]:
        """Turns gradients into updates, and a state into the next."""
        ...


class _Pair(NamedTuple):
    init: Init
    update: Update


_Base = _Pair
if TYPE_CHECKING:
    # Checkers that know optax take a transformation for one of optax's class, and accept it in
    # `optax.chain`, `flax.nnx.Optimizer` or `TrainState`; in a running program `__class__` does the
    # same. Checkers that see no types in optax (mypy) keep the pair above.
    from optax import GradientTransformation as _Base  # type: ignore


class InitUpdate(_Base):
    """The pair of functions `(init, update)`."""

    init: Init  # pyright: ignore # pyrefly: ignore
    update: Update  # pyright: ignore # pyrefly: ignore

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """For `isinstance` it is of optax's class too, in a program that has imported optax.

            What asks for that class then takes it as it is: numpyro's SVI, gpjax, optax's `chain`,
            which hands extra arguments to members of its own class alone.
            """
            theirs = getattr(sys.modules.get("optax"), "GradientTransformationExtraArgs", None)
            return type(self) if theirs is None else theirs
