"""Which parameters: rules by path, rank and function, in the place of any mask; see `rules`."""

from gdjax.params.rules import *
