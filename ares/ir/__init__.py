"""The records that pass between the stages: tensors, operations, the Graph and its file format.

Nothing here knows torch, C or any particular operation.
"""

from ares.ir.graph import (
    CODES,
    Composite,
    DType,
    Graph,
    GraphError,
    Operation,
    OutputRule,
    Tensor,
    frozen_array,
)
from ares.ir.graph_file import GraphFileError, graph_digest, load_graph, save_graph
from ares.ir.project import (
    Binary,
    FoldedLayer,
    Port,
    Project,
    Recipe,
    Trace,
    TracePoint,
    content_digest,
    trace_digest,
)

__all__ = [
    "CODES",
    "Binary",
    "Composite",
    "DType",
    "FoldedLayer",
    "Graph",
    "GraphError",
    "GraphFileError",
    "Operation",
    "OutputRule",
    "Port",
    "Project",
    "Recipe",
    "Tensor",
    "Trace",
    "TracePoint",
    "content_digest",
    "frozen_array",
    "graph_digest",
    "load_graph",
    "save_graph",
    "trace_digest",
]
