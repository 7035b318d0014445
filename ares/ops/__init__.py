"""The operations: one file per operation, found by scanning this folder (names without underscore).

An operation's file holds its parameters, formula, shape rule, integer reference and lowering to one call of one
C function. To add one, add files (`docs/adding-an-operation.md`); no list is kept by hand.
"""

from ares.ops._composites import COMPOSITES, CompositeKind
from ares.ops._operation import Alias, Data, KernelCall, KernelOperation, Layout, Site, Struct
from ares.ops._reference import run_reference
from ares.ops._registry import graph_classes, operations, read_graph

__all__ = [
    "COMPOSITES",
    "Alias",
    "CompositeKind",
    "Data",
    "KernelCall",
    "KernelOperation",
    "Layout",
    "Site",
    "Struct",
    "graph_classes",
    "operations",
    "read_graph",
    "run_reference",
]
