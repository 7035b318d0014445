"""A user's own model by three witnesses, on chosen targets, layer by layer: `ares verify`, and `ares trace`."""
