"""The pair `(init, update)`, for Python and for type checkers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

Params = TypeVar("Params")
State = TypeVar("State")
Updates = TypeVar("Updates")


class Init(Protocol):
    """The first function of a transformation."""

    def __call__(self, params: Any) -> Any:
        """Returns the state before the first step."""


class Update(Protocol):
    """The second function of a transformation."""

    def __call__(
        self, updates: Updates, state: State, params: Any = None, **extra: Any
    ) -> tuple[Updates, State]:
        """Returns updates and the next state."""
        ...


class _Pair(NamedTuple):
    init: Init
    update: Update


_Base = _Pair
if TYPE_CHECKING:
    # For type checkers that know optax, a transformation is an instance of optax's class, valid for
    # `optax.chain`, `flax.nnx.Optimizer` and `TrainState`; at run time `__class__` does the same.
    # For checkers that see no types in optax (mypy) it is the pair above.
    from optax import GradientTransformation as _Base  # type: ignore


class InitUpdate(_Base):
    """The pair of functions `(init, update)`."""

    init: Init  # pyright: ignore # pyrefly: ignore
    update: Update  # pyright: ignore # pyrefly: ignore

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """For `isinstance` also optax's class, in a program that has imported optax.

            So code that requires that class accepts it: numpyro's SVI, gpjax, and optax's `chain`,
            which passes extra arguments only to instances of its own class.
            """
            theirs = getattr(sys.modules.get("optax"), "GradientTransformationExtraArgs", None)
            return type(self) if theirs is None else theirs
