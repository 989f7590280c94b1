"""One module a family: `ROWS` for the contract, `AGREE` for the references."""

import importlib
import pkgutil

FAMILIES = sorted(module.name for module in pkgutil.iter_modules(__path__))
modules = {name: importlib.import_module(f"{__name__}.{name}") for name in FAMILIES}

ROWS = [row for module in modules.values() for row in module.ROWS]
AGREE = {
    f"{family}-{label}": entry
    for family, module in modules.items()
    for label, entry in getattr(module, "AGREE", {}).items()
}
