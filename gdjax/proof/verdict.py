"""What a proof found."""

from __future__ import annotations

__all__ = ["Proof"]

import dataclasses


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was found; true if the program is the formula.

    Attributes:
        name: The call.
        formula: The text that was read.
        program: One update, or a schedule, as JAX traces it.
        symbols: What was a symbol; everything else had the value of the call.
        cases: How many combinations of signs and of zero gradients were gone through, or points.
        digits: 0 for identity, else to how many digits both agree at the points.
        difference: The first difference, empty if there is none.
    """

    name: str
    formula: str
    program: str
    symbols: tuple[str, ...]
    cases: int
    digits: int = 0
    difference: str = ""

    def __bool__(self) -> bool:
        return not self.difference

    @property
    def verdict(self) -> str:
        """A sentence."""
        if self.difference:
            return f"not proven: {self.difference}"
        named = ", ".join(self.symbols)
        if self.digits:
            return f"equal to {self.digits} digits at {self.cases} points, in {named}"
        return f"proven in {self.cases} cases, for all values of {named}"
