"""From a user's model to what is taken away: a C project in a folder, an ONNX file."""

from ares.exporter.accepted import ExportError
from ares.exporter.c_project import Export, export

__all__ = ["Export", "ExportError", "export"]
