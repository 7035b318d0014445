"""The real dataflow of one forward pass of an eval-mode PyTorch/Brevitas model.

`capture` runs the model once and returns a `Dataflow`: which leaf module or tensor function was
called with which tensors, in execution order. Nothing is traced symbolically, so shapes,
`hasattr(x, "value")`, loops and keyword arguments are simply what they were in that run. Whatever
makes the record something other than the meaning of `forward` is listed as a `Problem`; without one,
the nodes compute the model's bits on every input of these shapes. What no single run can show, such
as Python's random numbers, `structural_changes` finds by comparing two, and `type_changes` what a
model does in float32 only.

| file | content |
|---|---|
| `compiled.py` | what `torch.compile` wraps, seen as it was written |
| `copies.py` | a copy that differs in nothing |
| `dataflow.py` | the records, the table of problem kinds |
| `functions.py` | names of tensor functions; which only look at shapes, which yield value-made shapes |
| `leaves.py` | which modules are one node, and which tensor belongs to whom |
| `record.py` | provenance of tensors, nodes and problems as they come |
| `forward.py` | hooks and function mode around the one forward pass |
| `result.py` | elimination of dead nodes, misused constants |
"""

from ares.capture.copies import evaluated, faithful_copy
from ares.capture.dataflow import (
    PROBLEM_KINDS,
    CaptureError,
    Dataflow,
    Node,
    Output,
    Problem,
    Ref,
    structural_changes,
    type_changes,
)
from ares.capture.forward import capture

__all__ = [
    "PROBLEM_KINDS",
    "CaptureError",
    "Dataflow",
    "Node",
    "Output",
    "Problem",
    "Ref",
    "capture",
    "evaluated",
    "faithful_copy",
    "structural_changes",
    "type_changes",
]
