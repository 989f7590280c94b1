"""The command line: `python -m gdjax`, as `gdjax`."""

__all__: list[str] = []

import sys

from gdjax.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
