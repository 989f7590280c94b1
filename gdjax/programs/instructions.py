"""Kernels, copies and bytes of a compiled program, from its HLO text."""

from __future__ import annotations

import collections
import re

from gdjax.programs.collective_bytes import nbytes

__all__ = ["counts", "moved"]

_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
_KERNELS = ("fusion", "custom-call", "dot", "reduce", "convolution", "sort", "scatter")
_MOVERS = (*_KERNELS, "copy")
_FETCHES = ("copy-start", "slice-start")
_ARRAYS = re.compile(r"\w+\[\d[\d,]*\]")
_ELSEWHERE = re.compile(r"\w+\[[\d,]*\]\{[^}]*S\(\d+\)\}")  # an array that is not in main memory


def _outside_of_fusions(text: str) -> list[list[str]]:
    """The lines of the computations that are not fused, the entry computation last."""
    inside = set(re.findall(r"(?:fusion\(.*?calls|to_apply)=%?([\w.\-]+)", text))
    found = []
    for block in re.split(r"\n(?=%|ENTRY)", text):
        head = re.match(r"(ENTRY )?%?([\w.\-]+) ", block)
        if head and head[2] not in inside and not block.startswith("HloModule"):
            found.append((bool(head[1]), block.splitlines()))
    return [lines for _, lines in sorted(found, key=lambda row: row[0])]


def counts(text: str) -> tuple[int, int]:
    """The numbers of kernels and array copies in a program, both branches of conditionals included.

    Prefetches of a TPU into its fast memory (`copy-start`) do not count as copies.

    >>> counts('''
    ... ENTRY %main (x: f32[4]) -> f32[4] {
    ...   %x = f32[4]{0} parameter(0)
    ...   %y = f32[4]{0} copy(%x)
    ...   ROOT %z = f32[4]{0} fusion(%y), kind=kLoop, calls=%f
    ... }''')
    (1, 1)

    Args:
        text: What `compiled.as_text()` gives.
    """
    found: collections.Counter[str] = collections.Counter()
    for lines in _outside_of_fusions(text):
        for line in lines:
            if m := _LINE.match(line):
                is_array = re.search(r"\[\d", m[2]) is not None
                joined = "ConcatBitcast" in m[4]  # parts that a TPU has fetched, without a kernel
                found[m[3]] += not joined and (m[3] != "copy" or is_array)
    return sum(found[kind] for kind in _KERNELS), found["copy"]


def moved(text: str) -> float:
    """Bytes of operands and results of all kernels and copies in main memory.

    A TPU keeps some arrays in a fast memory and prefetches others into it (`copy-start`): these are
    read from main memory once, while its compiler counts both reads.

    >>> moved('''
    ... ENTRY %main (x: f32[4]) -> f32[4] {
    ...   %x = f32[4]{0} parameter(0)
    ...   %s = (f32[4]{0:S(1)}, f32[4]{0}, u32[]{:S(2)}) copy-start(%x)
    ...   %d = f32[4]{0:S(1)} copy-done(%s)
    ...   ROOT %z = f32[4]{0} fusion(%d), kind=kLoop, calls=%f
    ... }''')
    32.0

    Args:
        text: What `compiled.as_text()` gives.
    """
    total = 0.0
    for lines in _outside_of_fusions(text):
        sizes: dict[str, float] = {}
        for line in lines:
            if m := _LINE.match(line):
                sizes[m[1]] = nbytes(_ELSEWHERE.sub("", m[2]))
                if m[3] in _FETCHES:  # an array, or a part of it, from one memory to the other
                    total += min(map(nbytes, _ARRAYS.findall(m[2])), default=0)
                elif m[3] in _MOVERS:
                    operands = re.findall(r"%?([\w.\-]+)", m[4].split("), ")[0])
                    total += sizes[m[1]] + sum(sizes.get(name, 0) for name in operands)
    return float(total)
