"""Layers that extraction takes as one operation each, and does not look into.

Everything else in `ares.nn` is composed of these, of Brevitas' layers and of torch's: its forward is followed call
by call. A leaf that ends with a quantiser holds it as `quant`.
"""
