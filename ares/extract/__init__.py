"""Network -> Graph: from the real dataflow of a Brevitas model to typed integer operations.

`extract` raises `ExtractionError` at the first thing that cannot be mapped exactly; `analyse` goes on and lists
everything (what `ares check` shows). Files without underscore are the operations' detectors, found by scan.
"""

from ares.extract._findings import NOT_JUDGED, TAKEN_INTO, ExtractionError, Finding, Status
from ares.extract._modules import module_findings
from ares.extract._walk import Analysis, analyse, extract

__all__ = [
    "NOT_JUDGED",
    "TAKEN_INTO",
    "Analysis",
    "ExtractionError",
    "Finding",
    "Status",
    "analyse",
    "extract",
    "module_findings",
]
