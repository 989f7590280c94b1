"""Cost of a step on a CPU, GPU or TPU, read from the compiled program without the device.

report(adamw(1e-3), models.gpt2(), "v5e:2x4", PartitionSpec("data"))
"""

from gdjax.programs import models
from gdjax.programs.chips import CHIPS
from gdjax.programs.report import Report, report, table

__all__ = ["CHIPS", "Report", "models", "report", "table"]
