"""Mutation testing: every constant, sign and comparison of the rules changed, one at a time.

    python -m tests.mutation                        all mutants, what catches each; resumable
    python -m tests.mutation adam lion              those of these files
    python -m tests.mutation --only optimizers/adam/adam.py:60    those of one line
    python -m tests.mutation --list                 the mutants, without running them

`sites` says what is changed, `checks` what must notice, `unseen.toml` which mutants change nothing
and why, `docs/data/mutants.jsonl` what noticed each, `tables` what the page of the docs shows.
"""
