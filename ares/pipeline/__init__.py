"""From a network's file to verdicts: the only place that knows all stages and their order.

Import from the modules: `zoo` (which networks there are) and `matrix` are light, `session` and `regenerate` import
torch.
"""
