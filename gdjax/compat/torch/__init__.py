# ruff: noqa: F401, F403
"""torch.optim's API over gdjax: the names, defaults and conventions of torch 2.13.

    from gdjax.compat import torch
    tx = torch.AdamW(torch.lr_scheduler.CosineAnnealingLR(1e-3, T_max=1000), weight_decay=0.1)

Each name makes a chain of transformations, tested against trajectories of torch to 1e-10. The
learning rate is the first argument, where torch has the parameters. `load_state_dict` continues a
run of torch.

torch itself is not imported. LBFGS, Muon, SparseAdam and MultiplicativeLR are not available; the
error message gives the reason.
"""

from gdjax.compat.torch import lr_scheduler
from gdjax.compat.torch.loading import load_state_dict
from gdjax.compat.torch.optimizers import *
from gdjax.compat.torch.rules import clip_grad_norm_
from gdjax.transforms.clipping import clip as clip_grad_value_

_NOT_HERE = {
    "LBFGS": "torch's calls the loss several times in a step. Use gdjax.lbfgs.",
    "Muon": "torch's computes in bfloat16, so no run agrees with it. Use gdjax.muon.",
    "SparseAdam": "Gradients of JAX are dense. Use Adam.",
}


def __getattr__(name: str):
    raise AttributeError(f"gdjax.compat.torch has no {name}. {_NOT_HERE.get(name, '')}".rstrip())
