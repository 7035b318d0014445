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
    constant,
)
from ares.ir.graph_file import GraphFileError, graph_digest, load_graph, save_graph
from ares.ir.project import (
    Binary,
    Port,
    Project,
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
    "Graph",
    "GraphError",
    "GraphFileError",
    "Operation",
    "OutputRule",
    "Port",
    "Project",
    "Tensor",
    "Trace",
    "TracePoint",
    "constant",
    "content_digest",
    "graph_digest",
    "load_graph",
    "save_graph",
    "trace_digest",
]
