"""Optimizers as data: objects that remember the call that made them; schedules; JSON."""
