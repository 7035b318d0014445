"""A Graph as one safetensors file: structure as JSON in its metadata, constants as tensors.

Byte-stable: the same Graph gives the same bytes. Nothing is executed on load: records are rebuilt from a
closed table of classes. Raises `GraphFileError` with one line for anything that is not such a file.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ares.ir.graph import Composite, DType, Graph, GraphError, Tensor
from ares.ir.record_types import require_fields

FORMAT = "ares-graph-1"


class GraphFileError(ValueError):
    """Bytes that are not a Graph file of this version."""


def save_graph(graph: Graph) -> bytes:
    """Serialise; the inverse of `load_graph`."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    structure = json.dumps(_encode(graph, arrays), sort_keys=True, separators=(",", ":"))
    # safetensors orders tensors by type and name: an empty file needs one tensor all the same.
    arrays["format"] = np.frombuffer(FORMAT.encode(), dtype=np.uint8)
    return save_arrays(arrays, metadata={"graph": structure})


def load_graph(data: bytes, records: Mapping[str, type]) -> Graph:
    """Rebuild the Graph. `records` maps class names of operations and their parts to classes."""
    try:
        arrays = load_arrays(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        structure = json.loads(header["__metadata__"]["graph"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GraphFileError(f"not a Graph file: {_first_line(error)}") from None
    found = arrays.pop("format", np.zeros(0, np.uint8)).tobytes()
    if found != FORMAT.encode():
        raise GraphFileError(f"Graph file has format {found!r}, expected {FORMAT!r}")
    classes = {"Graph": Graph, "Tensor": Tensor, "Composite": Composite, **records}
    try:
        graph = _decode(structure, arrays, classes)
        if not isinstance(graph, Graph):
            raise GraphFileError("Graph file holds no Graph")
        return graph.validate()
    except GraphError as error:
        raise GraphFileError(f"Graph file holds an invalid Graph: {_first_line(error)}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise GraphFileError(f"damaged Graph file: {_first_line(error)}") from None
    except (ArithmeticError, MemoryError) as error:
        # An operation's shape rule met a parameter that no extraction produces: a stride of zero, a huge pad.
        raise GraphFileError(
            f"impossible parameter in a Graph file: {_first_line(error)}"
        ) from None


def graph_digest(graph: Graph) -> str:
    """64 hexadecimal digits that change when anything in the Graph changes."""
    return hashlib.sha256(save_graph(graph)).hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:400]


def _encode(value: Any, arrays: dict[str, npt.NDArray[np.generic]]) -> Any:
    if isinstance(value, enum.Enum):
        return {"enum": type(value).__name__, "value": value.value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _encode(getattr(value, field.name), arrays)
            for field in dataclasses.fields(value)
        }
        return {"record": type(value).__name__, "fields": fields}
    if isinstance(value, np.ndarray):
        key = f"constant{len(arrays):05d}"
        arrays[key] = np.ascontiguousarray(value)
        return {"array": key}
    if isinstance(value, tuple):
        return [_encode(item, arrays) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a Graph cannot hold a {type(value).__name__}")


def _decode(
    value: Any, arrays: Mapping[str, npt.NDArray[np.generic]], classes: Mapping[str, type]
) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, arrays, classes) for item in value)
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text, and raises
    if isinstance(value, float) and not math.isfinite(value):
        raise GraphFileError(f"holds the number {value}, which is not finite")
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = arrays[value["array"]]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise GraphFileError(f"constant {value['array']!r} holds values that are not finite")
        array.flags.writeable = False
        return array
    if "enum" in value:
        if value["enum"] != "DType":
            raise GraphFileError(f"unknown enumeration {value['enum']!r}")
        return DType(value["value"])
    if value["record"] not in classes:
        raise GraphFileError(f"unknown record {value['record']!r}")
    fields = {name: _decode(item, arrays, classes) for name, item in value["fields"].items()}
    record = classes[value["record"]]
    require_fields(record, fields)
    return record(**fields)
