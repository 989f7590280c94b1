"""`python -m gdjax` is the command `gdjax`."""

__all__: list[str] = []

import sys

from gdjax.lab.cli import main

sys.exit(main())
