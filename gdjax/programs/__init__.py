"""What a step costs on a chip that is not here: the compiler tells without the device.

report(adamw(1e-3), models.gpt2(), "v5e:2x4", PartitionSpec("data"))
"""

from gdjax.programs import models
from gdjax.programs.chips import CHIPS
from gdjax.programs.report import Report, report, table

__all__ = ["CHIPS", "Report", "models", "report", "table"]
