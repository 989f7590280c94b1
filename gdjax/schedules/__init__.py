"""Schedules: functions of the step, for learning rates and all other hyperparameters."""
