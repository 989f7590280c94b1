"""Selection of parameters: rules by path, rank and function for masks and groups; see `rules`."""

from gdjax.params.bias_or_norm import *
from gdjax.params.rules import *
