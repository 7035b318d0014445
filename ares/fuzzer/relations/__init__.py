"""Metamorphic relations: two models whose integers must be related in a known way, whatever they are.

No oracle is needed: both models go through ARES (extraction, reference, C), and what comes out is compared as the
relation says. `of_models` draws pairs of small models; `of_recipes` changes any drawn recipe. Each relation's docstring
states the relation and the condition under which it holds exactly.
"""

from ares.fuzzer.relations.check import Checked, check
from ares.fuzzer.relations.of_models import MODEL_RELATIONS, drawn_pair
from ares.fuzzer.relations.of_recipes import RECIPE_RELATIONS, Unrelated, changed
from ares.fuzzer.relations.related import Related, Side

__all__ = [
    "MODEL_RELATIONS",
    "RECIPE_RELATIONS",
    "Checked",
    "Related",
    "Side",
    "Unrelated",
    "changed",
    "check",
    "drawn_pair",
]
