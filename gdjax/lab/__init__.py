"""The lab looks on: problems to train on, races between optimizers, the command line.

Nothing else in the library imports it. What it needs beyond the library's own dependencies comes
with `pip install "gdjax[lab]"` and is loaded when it is used, so importing the lab stays cheap.
"""
