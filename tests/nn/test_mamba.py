"""Mamba and its leaves as torch modules: formulas, published defaults, shapes, errors."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn
from torch.nn import functional as F

from ares.nn.errors import MappingError
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.nn.leaves.scan import SelectiveScan
from ares.nn.mamba import QuantMambaBlock, QuantMambaWrapper, QuantSSM
from ares.nn.patch_embed import QuantPatchEmbed
from ares.nn.quant_tensor import value_of
from tests.extract.models import Net, checked, identity, kinds, linear, seeded


def _without_quantizers(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, ActQuantProxyFromInjectorBase):
            module.disable_quant = True
    return model.double().eval()


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_scan_is_the_published_recurrence() -> None:
    """One channel, two states, three steps, by hand: A-bar = exp(dt A), B-bar = dt B."""
    scan = SelectiveScan(1, 2)
    scan.quant = nn.Identity()
    scan = scan.double()
    scan.A_log.data = torch.log(torch.tensor([[2.0, 5.0]], dtype=torch.float64))
    scan.D.data = torch.tensor([0.5], dtype=torch.float64)
    x, dt = (1.0, -2.0, 3.0), (0.1, 0.2, 0.3)
    b, c = ((1.0, 2.0), (3.0, -1.0), (0.5, 0.25)), ((1.0, 1.0), (2.0, -1.0), (-1.0, 3.0))
    h = [0.0, 0.0]
    expected = []
    for t in range(3):
        for n, rate in enumerate((2.0, 5.0)):
            h[n] = math.exp(-dt[t] * rate) * h[n] + dt[t] * b[t][n] * x[t]
        expected.append(c[t][0] * h[0] + c[t][1] * h[1] + 0.5 * x[t])
    column = [torch.tensor(v, dtype=torch.float64).reshape(1, 3, 1) for v in (x, dt)]
    rows = [torch.tensor(v, dtype=torch.float64).reshape(1, 3, 2) for v in (b, c)]
    found = scan(*column, *rows)
    assert found.shape == (1, 3, 1)
    assert max(abs(f - e) for f, e in zip(found.flatten().tolist(), expected, strict=True)) < 1e-14


def test_scan_keeps_samples_apart() -> None:
    scan = SelectiveScan(3, 2)
    scan.quant = nn.Identity()
    x, dt = _random(4, 5, 3), _random(4, 5, 3, seed=1).abs()
    b, c = _random(4, 5, 2, seed=2), _random(4, 5, 2, seed=3)
    scan = scan.double()
    together = scan(x, dt, b, c)
    alone = torch.cat(
        [scan(x[i : i + 1], dt[i : i + 1], b[i : i + 1], c[i : i + 1]) for i in range(4)]
    )
    assert torch.equal(together, alone)


def test_scan_starts_as_published() -> None:
    scan = SelectiveScan(3, 16)
    assert torch.equal(scan.A_log, torch.log(torch.arange(1.0, 17.0)).expand(3, 16))
    assert torch.equal(scan.D, torch.ones(3))


@pytest.mark.parametrize(("kernel", "causal", "left"), [(4, True, 3), (5, False, 2), (4, False, 1)])
def test_convolution_pads_and_keeps_the_length(kernel: int, causal: bool, left: int) -> None:
    conv = QuantConv1dDepthwise(3, kernel, causal=causal, quantize_output=False)
    x = torch.randn(2, 3, 7)
    padded = F.pad(x, (left, kernel - 1 - left))
    expected = F.conv1d(padded, conv.quant_weight().value, conv.bias, groups=3)
    assert conv.left == left
    assert torch.equal(conv(x), expected)


def test_a_causal_convolution_does_not_see_the_future() -> None:
    conv = QuantConv1dDepthwise(3).eval()
    x = torch.randn(1, 3, 9)
    later = x.clone()
    later[:, :, 5:] += 1.0
    before, after = value_of(conv(x)), value_of(conv(later))
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.equal(before[:, :, 5], after[:, :, 5])


@pytest.mark.parametrize(("d_model", "rank"), [(16, 1), (17, 2), (385, 25), (64, 4)])
def test_dt_rank_of_a_block_is_a_sixteenth_of_d_model(d_model: int, rank: int) -> None:
    block = QuantMambaBlock(d_model, 4, 2)
    assert block.ssm.dt_low.weight.shape == (rank, 4)
    assert block.ssm.dt.weight.shape == (4, rank)


def test_dt_rank_is_handed_on() -> None:
    wrapper = QuantMambaWrapper(32, 8, 2, dt_rank=5)
    assert wrapper.forward_block.ssm.dt_low.weight.shape[0] == 5
    assert wrapper.backward_block.ssm.dt_low.weight.shape[0] == 5
    assert QuantSSM(33).dt_low.weight.shape[0] == 2
    assert QuantSSM(32, dt_rank=2).dt_low.weight.shape[0] == 2


def test_dt_starts_between_a_thousandth_and_a_tenth() -> None:
    ssm = QuantSSM(4096, 1, 4)
    dt = F.softplus(ssm.dt.bias.double())
    assert 0.99e-3 < dt.min() < 1.2e-3
    assert 0.085 < dt.max() < 0.1001
    assert abs(dt.log10().mean() + 2.0) < 0.05  # log-uniform: as many below 0.01 as above
    assert ssm.dt.weight.abs().max() <= 0.5
    assert ssm.dt.weight.abs().max() > 0.49


def test_published_number_of_parameters() -> None:
    """FEMBA-Tiny's block: d_model 385, d_inner 1540, d_state 16, dt_rank 25, no biases but conv's and dt's."""
    block = QuantMambaBlock(385, 1540, 16)
    names = {name for name, _ in block.named_parameters() if name.endswith("bias")}
    assert names == {"conv.bias", "ssm.dt.bias"}
    count = sum(p.numel() for n, p in block.named_parameters() if "scaling_impl" not in n)
    projections = 385 * 3080 + 1540 * 385 + 1540 * (25 + 32) + 25 * 1540
    assert count == projections + 1540 * (4 + 1) + 1540 + 1540 * 16 + 1540


def test_block_is_the_published_formula() -> None:
    """With its activations not quantised; the linear layers and the convolution are taken as they are."""
    block: Any = _without_quantizers(QuantMambaBlock(6, 4, 3, return_quant_tensor=False))
    x = _random(2, 7, 6)
    u, z = block.in_proj(x).chunk(2, -1)
    conv = block.conv(u.transpose(1, 2))
    u = F.silu(conv.transpose(1, 2))
    dt = F.softplus(block.ssm.dt(block.ssm.dt_low(u)))
    b, c = block.ssm.B(u), block.ssm.C(u)
    rate = -torch.exp(block.ssm.y.A_log)
    h = torch.zeros(2, 4, 3, dtype=torch.float64)
    rows = []
    for t in range(7):
        gain = torch.exp(torch.einsum("bd,dn->bdn", dt[:, t], rate))
        h = gain * h + torch.einsum("bd,bn,bd->bdn", dt[:, t], b[:, t], u[:, t])
        rows.append(torch.einsum("bdn,bn->bd", h, c[:, t]) + block.ssm.y.D * u[:, t])
    expected = block.out_proj(torch.stack(rows, 1) * F.silu(z))
    assert float((value_of(block(x)) - expected).detach().abs().max()) < 1e-12


def test_a_gated_ssm_is_the_published_formula() -> None:
    """y * silu(z), with its activations not quantised; z as QuantTensor or Tensor."""
    ssm: Any = _without_quantizers(QuantSSM(4, 3, return_quant_tensor=False))
    x, z = _random(2, 7, 4), _random(2, 7, 4, seed=1)
    assert torch.equal(ssm(x, z), ssm(x) * F.silu(z))
    assert torch.equal(ssm(x, z=z), ssm(x, z))


def test_a_block_is_its_parts_gated() -> None:
    """What forward(x, z) of the state space does is what the block does with its own members, bit for bit."""
    block = QuantMambaBlock(6, 4, 3)
    ssm = QuantSSM(4, 3, block.ssm.dt_low.weight.shape[0], return_quant_tensor=False)
    for _ in range(2):
        block(torch.randn(2, 7, 6))
    ssm.load_state_dict(block.ssm.state_dict())
    assert ssm.z is not None
    assert ssm.gate is not None
    ssm.z.load_state_dict(block.z.state_dict())
    ssm.gate.load_state_dict(block.gate.state_dict())
    block.eval()
    ssm.eval()
    both = block.in_proj(torch.randn(1, 5, 6))
    u = block.to_tokens(block.silu(block.conv(block.to_channels(block.x(both)))))
    z = block.gate_input(both)
    assert torch.equal(ssm(u, z), block.gate(block.ssm(u), block.z(z)))


def test_a_gate_that_is_never_used_is_not_missed() -> None:
    """Its scales are in the state only where it was used, and a state has all of them or none."""
    made = QuantSSM(4, 2)
    made(torch.randn(2, 5, 4))
    state = made.state_dict()
    assert not any(key.startswith(("z.", "gate.")) for key in state)
    model = nn.ModuleDict({"a": QuantSSM(4, 2), "b": QuantSSM(4, 2)})
    nested = {f"{name}.{key}": value for name in "ab" for key, value in state.items()}
    assert not model.load_state_dict(nested).missing_keys
    assert not copy.deepcopy(model).load_state_dict(nested).missing_keys

    gated = QuantSSM(4, 2)
    gated(torch.randn(2, 5, 4), torch.randn(2, 5, 4))
    whole = gated.state_dict()
    scales = [key for key in whole if key.startswith(("z.", "gate."))]
    assert len(scales) == 2
    QuantSSM(4, 2).load_state_dict(whole)
    for absent in (scales[0], "y.D"):
        with pytest.raises(RuntimeError, match=absent):
            QuantSSM(4, 2).load_state_dict({k: v for k, v in whole.items() if k != absent})
    with pytest.raises(RuntimeError, match=r"y\.D"):
        QuantSSM(4, 2).load_state_dict({k: v for k, v in state.items() if k != "y.D"})


def test_an_ssm_without_a_gate() -> None:
    ssm = QuantSSM(4, 2, gate=False)
    assert not any(name.startswith(("z", "gate")) for name, _ in ssm.named_modules())
    assert set(ssm.state_dict()) == set(QuantSSM(4, 2).state_dict())
    with pytest.raises(MappingError, match="construct it with gate=True"):
        ssm(torch.zeros(1, 3, 4), z=torch.zeros(1, 3, 4))


@pytest.mark.parametrize("quantised", [True, False])
def test_a_gated_ssm_becomes_c(quantised: bool) -> None:
    """z made of the same input as x: codes, or the real value of a linear layer."""

    def forward(m: Any, x: torch.Tensor) -> Any:
        codes = m.first(x)
        return m.last(m.ssm(codes, z=m.z(m.linear(codes)) if quantised else m.linear(codes)))

    model = seeded(
        lambda: Net(
            forward,
            first=identity(),
            linear=linear(6, 6),
            z=identity(),
            ssm=QuantSSM(6, 3),
            last=identity(),
        )
    )
    graph = checked(model, (1, 5, 6), c=True)
    assert {"selective_scan", "mul"} <= set(kinds(graph))
    # A SiLU on codes is a table; on a real value it is part of the layer that made it.
    assert ("silu" in kinds(graph)) == quantised


def test_wrapper_reads_both_ways() -> None:
    wrapper = QuantMambaWrapper(6, 4, 2, bidirectional_strategy="concat")
    wrapper(torch.randn(3, 5, 6))
    wrapper.eval()
    wrapper.backward_block.load_state_dict(wrapper.forward_block.state_dict())
    x = torch.randn(1, 5, 6)
    ahead = value_of(wrapper(x))
    back = value_of(wrapper(x.flip(1)))
    assert ahead.shape == (1, 5, 12)
    assert torch.equal(ahead[..., :6], back.flip(1)[..., 6:])


@pytest.mark.parametrize("as_quant_tensor", [True, False])
def test_results_are_what_was_asked_for(as_quant_tensor: bool) -> None:
    options: dict[str, Any] = {"return_quant_tensor": as_quant_tensor}
    x = torch.randn(2, 5, 6)
    for layer in (
        QuantMambaWrapper(6, 4, 2, **options),
        QuantMambaBlock(6, 4, 2, **options),
        QuantSSM(6, 2, **options),
    ):
        found = layer.eval()(x)
        assert isinstance(found, torch.Tensor) is not as_quant_tensor
        assert torch.equal(value_of(layer(found)), value_of(layer(value_of(found))))


def test_patches_are_columns() -> None:
    embed = QuantPatchEmbed((4, 6), (2, 3), (2, 3), in_chans=1, embed_dim=5).eval()
    x = torch.randn(2, 1, 4, 6)
    found = value_of(embed(x))
    assert found.shape == (2, 2, 10)
    grid = value_of(embed.proj(x))
    assert torch.equal(found[:, 1], grid[:, :, :, 1].reshape(2, 10))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: QuantPatchEmbed((5, 6), 2, 2), "patches of 2 every 2 do not divide H = 5"),
        (lambda: QuantPatchEmbed((4, 7), (2, 3), (2, 3)), "do not divide W = 7"),
        (lambda: QuantPatchEmbed((4, 6), 8, 1), "patches of 8 every 1 do not divide H = 4"),
        (lambda: QuantMambaWrapper(6, bidirectional_strategy="mean"), "expected 'add' or 'concat'"),
        (lambda: QuantConv1dDepthwise(3, 0), "must be positive"),
        (lambda: SelectiveScan(3, 0), "must be positive"),
        (lambda: QuantPatchEmbed((4, 6), 2, 2)(torch.zeros(1, 1, 4, 8)), "expected .B, C, 4, 6."),
    ],
)
def test_mistakes_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as found:
        make()
    assert "\n" not in str(found.value)
