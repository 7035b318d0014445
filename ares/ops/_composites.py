"""The layers of `ares.nn` and Brevitas that are several operations: what each is called, and which classes it is.

A composite has no kernel and no numerics of its own: its operations are those that its forward calls, and the
generated C shows it as one layer whose stages they are. A new composite is a row here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompositeKind:
    """`classes` are names of `package`; `formula` is the documentation's row."""

    op_type: str
    layer_type: str
    classes: tuple[str, ...]
    formula: str
    package: str = "ares.nn"

    @property
    def python_classes(self) -> tuple[str, ...]:
        """What users write, in full."""
        return tuple(f"{self.package}.{name}" for name in self.classes)


COMPOSITES = (
    CompositeKind(
        "OP_MHSA",
        "MultiheadSelfAttention",
        ("QuantSelfAttention", "QuantMultiHeadAttention", "QuantRoPESelfAttention", "QuantMHSA"),
        "`q, k, v = linear(x)` (rotated with RoPE); `scores = q k^T / sqrt(d)`; "
        "`weights = softmax(scores)`; `context = weights v`; `proj = linear(context)`",
    ),
    CompositeKind(
        "OP_MULTIHEAD_ATTENTION",
        "MultiheadAttention",
        ("QuantMultiheadAttention",),
        "Brevitas' own: `q, k, v = linear(query), linear(key), linear(value)`; then as MultiheadSelfAttention",
        package="brevitas.nn",
    ),
    CompositeKind(
        "OP_CROSS_ATTENTION",
        "CrossAttention",
        ("QuantCrossAttention",),
        "as MultiheadSelfAttention, with learned queries: `q = linear(queries)`",
    ),
    CompositeKind(
        "OP_ALTERNATING_ATTENTION",
        "AlternatingAttention",
        ("QuantAlternatingAttention",),
        "as MultiheadSelfAttention on C x T tokens: over C at each t in even blocks, over T for each c "
        "in odd ones",
    ),
    CompositeKind(
        "OP_SSM",
        "SSM",
        ("QuantSSM",),
        "`dt = softplus(linear(x))`, `B, C = linear(x)`; `h = exp(dt A) h + dt B x`; `y = C h + D x`",
    ),
    CompositeKind(
        "OP_MAMBA_BLOCK",
        "MambaBlock",
        ("QuantMambaBlock",),
        "`x, z = linear(in)`; `out = linear(SSM(silu(conv(x))) * silu(z))`",
    ),
    CompositeKind(
        "OP_MAMBA_WRAPPER",
        "MambaWrapper",
        ("QuantMambaWrapper",),
        "`out = join(block(x), flip(block'(flip(x))))`, join being the sum or the concatenation",
    ),
    CompositeKind(
        "OP_PATCH_EMBED",
        "PatchEmbed",
        ("QuantPatchEmbed",),
        "`out[b,w,e*gh+h] = conv(x)[b,e,h,w]`",
    ),
)
