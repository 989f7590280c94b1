"""Pages of the catalogue, one for each optimizer: of its docstring and of what was measured."""
