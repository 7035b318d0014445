"""What `torch.compile` wraps, seen as it was written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ares.capture.walks import Named


@contextmanager
def uncompiled() -> Iterator[None]:
    """Within, compiled functions run as they were written; torch that never loaded its compiler has none."""
    if "torch._dynamo" not in sys.modules:
        yield
    elif hasattr(torch.compiler, "set_stance"):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:  # torch 2.4 and 2.5: in place of a stance, take away the function that has frames compiled
        compiler: Any = sys.modules["torch._dynamo.eval_frame"]
        name = "_maybe_set_eval_frame" if torch.__version__ >= "2.5" else "set_eval_frame"
        function = getattr(compiler, name)
        setattr(compiler, name, lambda callback: None)
        try:
            yield
        finally:
            setattr(compiler, name, function)


def in_training(modules: Named) -> dict[str, nn.Module]:
    """Path -> module, of those in training mode; `modules` by their first names.

    What `torch.compile` puts around a module does nothing of its own, and in torch 2.4 has a flag that `eval()` does
    not reach.
    """
    return {
        path: module
        for path, module in modules
        if module.training and "_orig_mod" not in module._modules
    }
