"""From everything that happened to the nodes that matter, and the constants they should not use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ares.capture.dataflow import LESS_PRECISE, Dataflow, Node, Problem, Ref, problem
from ares.capture.leaves import Owned


def dataflow(
    nodes: Mapping[str, Node],
    outputs: Sequence[tuple[str, Ref]],
    owned: Mapping[str, Owned],
    problems: Sequence[Problem],
    problems_if_live: Sequence[Problem],
) -> Dataflow:
    """The Dataflow of all recorded nodes; `owned` are the sources of constants, by key.

    Kept are the inputs, what the outputs need, and leaf modules with what they need.
    """
    refs = {key: node.refs for key, node in nodes.items()}
    live = _needed_by(refs, (ref.node for _, ref in outputs))
    always = [key for key, node in nodes.items() if node.kind in ("input", "module")]
    kept_keys = _needed_by(refs, [*always, *live])
    kept = tuple(node for key, node in nodes.items() if key in kept_keys)
    found = [*problems, *_without_echoes(p for p in problems_if_live if p.node in live)]
    uses = [(node.key, node.scope, refs[node.key]) for node in kept if node.key in live]
    found += _misused(owned, [*uses, (None, "", [ref for _, ref in outputs])])
    return Dataflow(
        nodes=kept,
        inputs=tuple(Ref(node.key) for node in kept if node.kind == "input"),
        outputs=tuple(ref for _, ref in outputs),
        output_names=tuple(name for name, _ in outputs),
        problems=tuple(dict.fromkeys(found)),
        dead=tuple(
            node.key
            for node in kept
            if node.key not in live and node.kind in ("module", "function")
        ),
    )


def _without_echoes(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Without what every further call says again once the first one has fewer digits than float32."""
    said: set[str] = set()
    for found in problems:
        if found.kind not in said:
            yield found
        if found.kind in LESS_PRECISE:
            said.add(found.kind)


def _needed_by(refs: Mapping[str, Sequence[Ref]], keys: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key not in reached:
            reached.add(key)
            pending.extend(ref.node for ref in refs[key])
    return reached


def _misused(
    owned: Mapping[str, Owned], uses: Sequence[tuple[str | None, str, Sequence[Ref]]]
) -> list[Problem]:
    """Constants of unknown origin, and those of a layer that was not called; each reported once.

    `uses`: key, None for the outputs, and place of a live node, and what it takes.
    """
    found: dict[str, Problem] = {}
    for key, where, refs in uses:
        for constant in (owned[ref.node] for ref in refs if ref.node in owned):
            user = key or "the output"
            if constant.flaw:
                fault = problem("unknown_origin", key, where, f"{user} uses {constant.flaw}")
                found.setdefault(constant.name, fault)
            elif constant.owner is not None:
                message = f"{user} uses {constant.name!r} of a layer, in place of the layer"
                found.setdefault(constant.owner, problem("bypassed_leaf", key, where, message))
    return list(found.values())
