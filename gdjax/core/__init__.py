"""Core: the engine, factories as data, and the functions that rules use; no optimizers."""
