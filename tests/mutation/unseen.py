"""Mutants that change nothing that anyone could see, each with the reason."""

import pathlib
import tomllib

__all__ = ["FILE", "groups", "reasons"]

FILE = pathlib.Path(__file__).with_name("unseen.toml")


def groups():
    """The groups of `unseen.toml`: a reason `why`, and the mutants of which it is one."""
    return tomllib.loads(FILE.read_text("utf-8")).get("group", [])


def reasons():
    """The reason of each mutant, by its name."""
    return {mutant: group["why"] for group in groups() for mutant in group["mutants"]}
