"""What the targets on which a network fails have in common, and the ones on which it is exact have not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Facets = Mapping[str, str]
"""Facts about a target, in words, by kind: "byte order" -> "big-endian", "compiler" -> "built by gcc"."""


def shared_facets(failing: Sequence[Facets], exact: Sequence[Facets]) -> list[str]:
    """The facts that are true of every failing target and of no exact one, in the order of their kinds.

    Empty when there is no such fact, and when there is nothing to compare with: one side has no target.
    """
    if not failing or not exact:
        return []
    return [
        fact
        for kind, fact in failing[0].items()
        if all(target.get(kind) == fact for target in failing)
        and all(target.get(kind) != fact for target in exact)
    ]
