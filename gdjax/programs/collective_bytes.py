"""Collectives of a compiled program: counts and bytes sent, from its HLO text."""

from __future__ import annotations

__all__ = ["KINDS", "Traffic", "collectives", "nbytes"]

import functools
import re
from typing import NamedTuple

import numpy as np

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")


class Traffic(NamedTuple):
    """Collectives of one kind in one run of a program."""

    count: int
    bytes: int  # that each device sends, around a ring


_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_CALLED = re.compile(r"(?:calls|to_apply|body|\w*computations?)=(?:\{([^}]*)\}|%?([\w.\-]+))")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"?(\d+)"?\}')


def collectives(text: str) -> dict[str, Traffic]:
    """The collectives of a compiled program by kind: their number and the bytes each device sends.

    Of n devices in a group, with b bytes of operands on each, a ring sends

        all-gather (n − 1)·b    reduce-scatter, all-to-all (n − 1)/n·b
        all-reduce 2·(n − 1)/n·b    collective-permute b

    A loop counts by its number of iterations if that is known, else once; a conditional counts by
    the branch that sends most. A pair of start and done counts once.

    >>> collectives('''
    ... ENTRY %main (x: f32[4]) -> f32[16] {
    ...   %x = f32[4]{0} parameter(0)
    ...   ROOT %y = f32[16]{0} all-gather(%x), replica_groups={{0,1,2,3}}, dimensions={0}
    ... }''')
    {'all-gather': Traffic(count=1, bytes=48)}

    Args:
        text: The result of `jax.jit(f).lower(...).compile().as_text()`.
    """
    devices = int((re.search(r"num_partitions=(\d+)", text) or [0, 1])[1])
    devices *= int((re.search(r"replica_count=(\d+)", text) or [0, 1])[1])
    bodies: dict[str, list[str]] = {}
    entry, lines = "", []
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            lines = bodies.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("  "):
            lines.append(line)

    @functools.cache
    def total(name: str) -> dict[str, Traffic]:
        found: dict[str, Traffic] = {}
        sizes: dict[str, float] = {}
        for line in bodies.get(name, ()):
            if not (parsed := _INSTRUCTION.match(line)):
                continue
            type_, opcode, operands, rest = _parts(parsed[2])
            sizes[parsed[1]] = nbytes(type_)
            kind = opcode.removesuffix("-start")
            if kind in KINDS:
                moved = sum(sizes.get(operand, 0) for operand in operands)
                sent = _sent(kind, moved, rest, devices)
                _add(found, {kind: Traffic(1, round(sent))}, 1)
            elif not opcode.endswith(("-done", "-update")):
                called = [a or b for a, b in _CALLED.findall(rest)]
                inner = [total(x.strip(" %")) for one in called for x in one.split(",")]
                if opcode == "conditional" and inner:
                    inner = [max(inner, key=lambda f: sum(t.bytes for t in f.values()))]
                trips = _TRIPS.search(rest) if opcode == "while" else None
                for one in inner:
                    _add(found, one, int(trips[1]) if trips else 1)
        return found

    found = total(entry)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _parts(text: str) -> tuple[str, str, list[str], str]:
    """Type, opcode, names of operands and the rest of an instruction."""
    type_ = text[: _closing(text, 0)] if text.startswith("(") else text.split(" ", 1)[0]
    text = text[len(type_) :].lstrip()
    opcode, _, _ = text.partition("(")
    end = _closing(text, len(opcode))
    return type_, opcode, re.findall(r"%([\w.\-]+)", text[len(opcode) : end]), text[end:]


def _closing(text: str, start: int) -> int:
    """The index behind the parenthesis that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    return len(text)


def nbytes(type_: str) -> float:
    """Bytes of all arrays of the type of an instruction."""
    total = 0.0
    for dtype, shape in re.findall(r"([a-z]\w*)\[([\d,<=]*)\]", type_):
        bits = 8 if dtype == "pred" else int((re.search(r"\d+", dtype) or [0])[0])
        total += bits / 8 * np.prod([int(n.lstrip("<=")) for n in shape.split(",") if n] or [1])
    return total


def _sent(kind: str, moved: float, rest: str, devices: int) -> float:
    if kind == "collective-permute":
        pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", rest)
        moves = any(a != b for a, b in re.findall(r"\{(\d+),(\d+)", pairs[0] if pairs else ""))
        return moved if moves else 0.0
    n = _group(rest, devices)
    share = {"all-gather": n - 1, "all-reduce": 2 * (n - 1) / n}
    return moved * share.get(kind, (n - 1) / n)


def _group(rest: str, devices: int) -> int:
    """The number of devices in one group of a collective."""
    if found := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
        return found[1].count(",") + 1
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]<=", rest):
        return int(found[1])
    if found := re.search(r"replica_groups=mesh\[(.*?)\]\s*\{(.*?)\}", rest):
        sizes = {name: int(n) for name, n in re.findall(r"('\w+')=(\d+)", found[1])}
        axes = re.findall(r"('\w+')(?::\(\d+\)(\d+))?", found[2])
        return int(np.prod([int(part) if part else sizes[name] for name, part in axes]))
    return devices


def _add(total: dict[str, Traffic], more: dict[str, Traffic], times: int) -> None:
    for kind, (count, sent) in more.items():
        old = total.get(kind, Traffic(0, 0))
        total[kind] = Traffic(old.count + times * count, old.bytes + times * sent)
