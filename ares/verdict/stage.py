"""The stages before the C, in their order: one row a stage. The C's own stage is the target's (`Target.stage`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """`of_model`: it asks the PyTorch model, which unit cases of operations have not.

    `gives_graph`: without it there is no C. `gives_codes`: without it there is nothing to compare the C with, where
    no golden is stored.
    """

    name: str
    of_model: bool = False
    gives_graph: bool = False
    gives_codes: bool = False


CHECK = Stage("check", of_model=True, gives_graph=True)
"""Nothing in the model stands in the way."""
EXTRACT = Stage("extract", gives_graph=True)
"""There is a valid Graph, and it fits the golden."""
REFERENCE = Stage("reference", gives_codes=True)
"""The integer reference computes the golden."""
TORCH = Stage("torch", of_model=True)
"""The float64 Brevitas model accepts the golden."""


def proof_stage(target: str) -> str:
    """The stage of a target's proof: how each layer of the compiled C was shown to be right."""
    return f"proof[{target}]"


STAGES = (CHECK, EXTRACT, REFERENCE, TORCH)
