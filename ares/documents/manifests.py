"""What the goldens' manifests say, as several pages want it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ares.golden import MANIFEST
from ares.pipeline.catalogue import Zoo


def read_manifests(root: Path) -> Mapping[str, Any]:
    """Network -> manifest, in the zoo's order, of those that have a golden."""
    zoo = Zoo(root)
    found = {name: zoo.golden / name / MANIFEST for name in zoo.networks}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in found.items()
        if path.exists()
    }


def stems(manifest: Any) -> set[str]:
    """Stems of the operations in a network."""
    return {str(layer["stem"]) for case in manifest["cases"] for layer in case["layers"]}


def composites(manifest: Any) -> set[str]:
    """OpTypes of the composites in a network."""
    return set(manifest["provenance"].get("composites", {}).values())


def largest_deviations(manifests: Mapping[str, Any]) -> Mapping[str, tuple[float, str]]:
    """Stem -> (largest deviation that a witness has seen in any golden, the network)."""
    worst: dict[str, tuple[float, str]] = {}
    for name, manifest in manifests.items():
        for stem, deviation in manifest["provenance"]["deviations"].items():
            worst[stem] = max(worst.get(stem, (0.0, "")), (float(deviation), name))
    return worst


def accuracies(manifest: Any) -> Iterator[str]:
    """Held-out accuracy of a trained network (float, Brevitas, C) and how many samples; else four empty texts."""
    accuracy = manifest["provenance"].get("accuracy")
    for key in ("float", "brevitas", "c"):
        yield f"{100 * accuracy[key]:.1f} %" if accuracy else ""
    yield str(accuracy["heldout_samples"]) if accuracy else ""
