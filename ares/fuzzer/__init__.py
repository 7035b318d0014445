"""Random Brevitas models through the whole path, each from its seed alone: `ares fuzz`.

`draw` makes a recipe, `build` a model of it, `judge` a finding or none.
"""
