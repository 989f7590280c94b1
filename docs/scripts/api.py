"""The API reference: a page for each family, with every public name of gdjax.

`mkdocs build` runs this file by mkdocs-gen-files; mkdocstrings fills in signatures and docstrings.
`tests/docs/test_site.py` compares `pages()` with the public names.
"""

from __future__ import annotations

import importlib.util
import types
from typing import NamedTuple

from gdjax.core.data import exports

# Where a public name is defined, by the longest prefix: its page, and the title of that page.
FAMILIES = {
    "gdjax.core": ("transformations", "Transformations and chains"),
    "gdjax.optimizers.sgd": ("sgd", "Gradient descent and momentum"),
    "gdjax.optimizers.adam": ("adam", "Adam and related optimizers"),
    "gdjax.optimizers.adaptive": ("adaptive", "Adaptive rates: AdaGrad, RMSProp, AdaDelta"),
    "gdjax.optimizers.sign": ("sign", "Sign descent: Lion, Signum, Tiger"),
    "gdjax.optimizers.factored": ("factored", "Factored second moments: Adafactor, CAME, SM3"),
    "gdjax.optimizers.matrix": ("matrix", "Matrix optimizers: Muon, SOAP, Shampoo"),
    "gdjax.optimizers.layerwise": ("layerwise", "Layer-wise rates: LAMB, LARS, Fromage, NovoGrad"),
    "gdjax.optimizers.parameter_free": ("parameter_free", "Parameter-free optimizers"),
    "gdjax.optimizers.schedule_free": ("schedule_free", "Schedule-free optimizers"),
    "gdjax.optimizers.line_search": ("line_search", "Line searches and L-BFGS"),
    "gdjax.transforms": ("transforms", "Clipping, decay, noise and other stages of a chain"),
    "gdjax.wrappers": ("wrappers", "Other wrappers: SAM, MARS, grafting"),
    "gdjax.wrappers.select": ("select", "Parameter groups and masks"),
    "gdjax.wrappers.guards": ("guards", "Gradient accumulation and guards against bad gradients"),
    "gdjax.wrappers.averaging": ("averaging", "Weight averaging: EMA, Lookahead, SWA"),
    "gdjax.wrappers.memory": ("memory", "Memory and precision: 8-bit state, bfloat16 weights"),
    "gdjax.schedules": ("schedules", "Learning-rate schedules"),
    "gdjax.params": ("params", "Rules that select parameters"),
    "gdjax.run": ("run", "Training loops and summaries"),
    "gdjax.losses": ("losses", "Loss functions"),
    "gdjax.projections": ("projections", "Projections"),
    "gdjax.recipes": ("recipes", "Recipes: compositions with a name"),
    "gdjax.state": ("state", "State: hyperparameters, metrics, checkpoints"),
    "gdjax.states": ("states", "Classes of states"),
    "gdjax.sharding": ("sharding", "Sharding"),
    "gdjax.contract": ("contract", "Checks for transformations"),
    "gdjax.programs": ("programs", "Cost of a step on a chip"),
    "gdjax.plots": ("plots", "Plots"),
    "gdjax.lab": ("lab", "Problems and races"),
    "gdjax.compat.optax": ("compat_optax", "Compatibility with optax"),
    "gdjax.compat.torch": ("compat_torch", "Compatibility with torch.optim"),
}
# Modules whose public names are read from the modules themselves.
MODULES = (
    *("gdjax.contract", "gdjax.plots", "gdjax.programs", "gdjax.projections"),
    *("gdjax.recipes", "gdjax.sharding", "gdjax.state"),
    *("gdjax.lab.problems", "gdjax.lab.race"),
    *("gdjax.compat.torch", "gdjax.compat.torch.lr_scheduler"),
)
# optax's namespace is that of optax; its reference is optax's. These names are ours.
OPTAX = ("from_optax_state", "to_optax", "to_optax_state")
# Of classes that the engine reads too: what users call.
MEMBERS = {
    "gdjax.GradientTransformation": ["step", "replace", "arguments", "extra_args"],
    "gdjax.Schedule": ["__call__", "replace"],
}


class Page(NamedTuple):
    """A page of the reference: its title, and the public names on it."""

    title: str
    names: list[str]


def public() -> dict[str, str]:
    """The public names as a user writes them, with the modules that they are documented in."""
    found = {}
    for module in exports.STUBS:
        homes = exports.homes(module)
        found |= {f"{module}.{name}": home for name, home in homes.items() if home != module}
    found = {name: "gdjax.states" if ".states." in name else home for name, home in found.items()}
    for module in MODULES:
        found |= {f"{module}.{name}": module for name in names(module)}
    found |= {f"gdjax.compat.optax.{name}": "gdjax.compat.optax" for name in OPTAX}
    return found


def names(module: str) -> list[str]:
    """The public names of a module: its `__all__`, or what stands in it and is no module."""
    loaded = importlib.import_module(module)
    return sorted(
        name
        for name in getattr(loaded, "__all__", None) or vars(loaded)
        if not name.startswith("_") and not isinstance(getattr(loaded, name), types.ModuleType)
    )


def pages() -> dict[str, Page]:
    """The pages by name, in the order of `FAMILIES`.

    Raises:
        ValueError: A name is in no family.
    """
    made = {page: Page(title, []) for page, title in FAMILIES.values()}
    for name, home in public().items():
        prefixes = [prefix for prefix in FAMILIES if f"{home}.".startswith(f"{prefix}.")]
        if not prefixes:
            raise ValueError(f"{name} has no page: add {home} to FAMILIES in docs/scripts/api.py.")
        made[FAMILIES[max(prefixes, key=len)][0]].names.append(name)
    return made


def identifier(name: str) -> str:
    """The name by which mkdocstrings finds an object: `gdjax.state.find` is a module for it."""
    module, _, last = name.rpartition(".")
    parent = importlib.import_module(module)
    if not hasattr(parent, "__path__") or importlib.util.find_spec(name) is None:
        return name
    return f"{getattr(parent, last).__module__}.{last}"


def entry(name: str) -> str:
    """The entry of a name in the Markdown of mkdocstrings."""
    lines = [f"::: {identifier(name)}"]
    if name in MEMBERS:
        members = f"members: [{', '.join(MEMBERS[name])}]"
        lines += ["    options:", "      inherited_members: true", f"      {members}"]
    return "\n".join(lines)


def text(page: Page) -> str:
    """A page of the reference."""
    return "\n\n".join([f"# {page.title}", *map(entry, page.names), ""])


def index(made: dict[str, Page]) -> str:
    """The first page of the reference: every name, by family."""
    lines = ["# API", "", "Every public name, by family. `gd` is `import gdjax as gd`.", ""]
    for path, page in made.items():
        links = (f"[`{name.removeprefix('gdjax.')}`][{identifier(name)}]" for name in page.names)
        lines += [f"## [{page.title}]({path}.md)", "", " · ".join(links), ""]
    return "\n".join(lines)


def write() -> None:
    """Adds the pages to the site."""
    import mkdocs_gen_files

    made = pages()
    for path, page in made.items():
        with mkdocs_gen_files.open(f"api/{path}.md", "w") as file:
            file.write(text(page))
    with mkdocs_gen_files.open("api/index.md", "w") as file:
        file.write(index(made))
    with mkdocs_gen_files.open("api/.nav.yml", "w") as file:
        file.write("nav:\n" + "".join(f"  - {path}.md\n" for path in ["index", *made]))


if __name__ == "<run_path>":  # by mkdocs-gen-files
    write()
