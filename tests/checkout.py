"""The checkout whose tests these are."""

from __future__ import annotations

from pathlib import Path

from ares.pipeline.catalogue import Zoo

ROOT = Path(__file__).resolve().parents[1]
ZOO = Zoo(ROOT)
