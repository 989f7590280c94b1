"""Test problems, optimizer comparisons (races), benchmarks and the command line.

Nothing else in the library imports it. Its dependencies beyond those of the library come with
`pip install "gdjax[lab]"` and are loaded when they are used, so importing the lab is cheap.
"""
