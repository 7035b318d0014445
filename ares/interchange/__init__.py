"""Graphs in other people's formats. So far: ONNX with QuantizeLinear and DequantizeLinear around every layer."""

from ares.interchange.meaning import Departure, UnsaidError
from ares.interchange.onnx_writer import OnnxModel, sayable_in_onnx, write_onnx

__all__ = ["Departure", "OnnxModel", "UnsaidError", "sayable_in_onnx", "write_onnx"]
