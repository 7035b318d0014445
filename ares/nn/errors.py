"""What is wrong with a layer's sizes, in a form that `ares check` can report."""

from __future__ import annotations


class MappingError(ValueError):
    """Sizes that a layer of `ares.nn` cannot be mapped with: the layer's class, what was found, what to do.

    Raised by constructors and forwards; `ares check` reports it like any other layer that cannot be mapped.

    >>> try: QuantSelfAttention(embed_dim=10, num_heads=3)
    ... except MappingError as error: error.layer, error.reason
    ('QuantSelfAttention', 'embed_dim 10 is not divisible by num_heads 3')
    """

    def __init__(self, layer: str, reason: str, advice: str) -> None:
        super().__init__(f"{layer}: {reason}; {advice}")
        self.layer = layer
        self.reason = reason
        self.advice = advice

    def __reduce__(self) -> tuple[type[MappingError], tuple[str, str, str]]:
        return type(self), (self.layer, self.reason, self.advice)
