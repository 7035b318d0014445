"""How each operation is said in ONNX: a module a family, found by `ares.interchange.onnx_writer`."""
