"""Subjects through their stages and onto their targets: the only place that knows all stages and their order.

Import from the modules: `catalogue` (what there is to judge), `matrix` and `schedule` are light, `network` and
`regenerate` import torch.
"""
