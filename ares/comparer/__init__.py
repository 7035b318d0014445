"""Other runtimes judged by our goldens: the whole network as deployed, and each layer on its own, in integers."""

from ares.comparer.comparing import Comparison, compare
from ares.comparer.judging import Row
from ares.comparer.layers import Parts

__all__ = ["Comparison", "Parts", "Row", "compare"]
