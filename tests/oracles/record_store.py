"""Records code books and trajectories of 8-bit optimizers of other packages, in float32.

In an environment with bitsandbytes==0.50.2, torch==2.13.0 and numpy:
    python -m tests.oracles.record_store bitsandbytes
In one with torchao==0.18.0, torch==2.13.0 and numpy:
    python -m tests.oracles.record_store torchao

Adds to recorded/store.npz. Keys, for each package: `<package>/book_signed` and
`<package>/book_unsigned`, float32 [256]; `<package>/adamw8bit`, float32 [3, 16, 256], the points
after the steps `store_problem.SEEN`; `<package>/meta`, a JSON string. And of bitsandbytes,
`codes_signed` and `codes_unsigned`, uint8 [16, 256], what it makes of the numbers `numbers`; of
torchao `book4_signed`, `book4_unsigned`, float32 [16], `codes4_signed` and `codes4_unsigned`, what
it makes of them in blocks of 128, and the points of `adamw4bit` and `adamwfp8`.
"""

import functools
import json
import pathlib
import sys

import numpy as np
import torch

from . import store_problem as problem

TARGET = pathlib.Path(__file__).parent / "recorded" / "store.npz"


def trajectory(make):
    """Runs an optimizer of torch's interface on the problem."""
    point = torch.nn.Parameter(torch.tensor(problem.start()))
    optimizer, seen = make([point]), []
    for t in range(problem.STEPS):
        point.grad = torch.tensor(problem.gradient(point.detach().numpy(), t))
        optimizer.step()
        if t + 1 in problem.SEEN:
            seen.append(point.detach().numpy().copy())
    return np.stack(seen)


def of_bitsandbytes():
    import bitsandbytes
    from bitsandbytes import functional

    out, numbers = {}, np.random.default_rng(4).standard_normal(problem.SHAPE).astype(np.float32)
    out["numbers"] = numbers
    for name, signed in (("signed", True), ("unsigned", False)):
        book = functional.create_dynamic_map(signed=signed)
        given = torch.tensor(numbers if signed else numbers**2)
        codes, _ = functional.quantize_blockwise(given, code=book, blocksize=256)
        out |= {f"book_{name}": book.numpy(), f"codes_{name}": codes.numpy()}
    make = lambda params: bitsandbytes.optim.AdamW8bit(params, **problem.ARGUMENTS)
    return bitsandbytes.__version__, out | {"adamw8bit": trajectory(make)}


def of_torchao():
    import torchao
    from torchao.optim import AdamW4bit, AdamW8bit, AdamWFp8
    from torchao.optim.quant_utils import create_dynamic_map, quantize_4bit_with_qmap, scale_tensor
    from torchao.optim.subclass_4bit import get_qmap_signed, get_qmap_unsigned

    book = lambda signed: np.asarray(create_dynamic_map(signed), np.float32)
    out = {"book_signed": book(True), "book_unsigned": book(False)}
    numbers = np.load(TARGET)["bitsandbytes/numbers"]
    for name, qmap in (("signed", get_qmap_signed()), ("unsigned", get_qmap_unsigned())):
        qmap = torch.tensor(qmap)
        scaled, _ = scale_tensor(torch.tensor(numbers if name == "signed" else numbers**2), 128)
        out |= {f"book4_{name}": qmap.numpy()}
        out |= {f"codes4_{name}": quantize_4bit_with_qmap(scaled, qmap).numpy()}
    for key, make, block in (
        ("adamw8bit", AdamW8bit, 256),
        ("adamw4bit", AdamW4bit, 128),
        ("adamwfp8", AdamWFp8, 256),
    ):
        optimizer = functools.partial(make, **problem.ARGUMENTS, block_size=block)
        out[key] = trajectory(optimizer)
    return torchao.__version__, out


def main():
    package = sys.argv[1]
    version, out = {"bitsandbytes": of_bitsandbytes, "torchao": of_torchao}[package]()
    before = dict(np.load(TARGET)) if TARGET.exists() else {}
    meta = {"package": package, "version": version, "torch": torch.__version__}
    meta |= {"script": "tests/oracles/record_store.py", "arguments": problem.ARGUMENTS}
    new = {f"{package}/{key}": value for key, value in out.items()}
    np.savez_compressed(TARGET, **before | new | {f"{package}/meta": json.dumps(meta)})


if __name__ == "__main__":
    main()
