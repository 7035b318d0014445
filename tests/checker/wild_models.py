"""Model files as people write them, each a few lines put into the same frame."""

from __future__ import annotations

from dataclasses import dataclass

from tests.checker.models import PRELUDE

FRAME = (
    PRELUDE
    + """
import functools

{before}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv2d(1, 4, 3, padding=1)
        self.relu = QuantReLU(return_quant_tensor=True)
        {init}
        self.fc = QuantLinear(256, 10)

    def forward({parameters}):
        {body}


def example_inputs():
    return {example}


def create_model():
    torch.manual_seed(1)
    model = Model()
    given = example_inputs()
    given = [given] if isinstance(given, torch.Tensor) else given
    with torch.no_grad():
        for _ in range(3):
            model(*[torch.randn(x.shape) if x.is_floating_point() else x for x in given])
    model.eval()
    {after}
    return model
"""
)


@dataclass(frozen=True, slots=True)
class Wild:
    """What is special about one model; lines are separated by newlines.

    `x` is the input (1, 1, 8, 8). A supported model has no `code` and no `says`; `says` are words of the one line
    that refuses it, the layer first.
    """

    body: str = "return self.fc(torch.flatten(self.relu(self.conv(self.q(x))), 1))"
    init: str = "pass"
    before: str = ""
    after: str = "pass"
    example: str = "(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8),)"
    parameters: str = "self, x"
    says: tuple[str, ...] = ()
    code: int = 0
    warns: str = ""
    c: bool = False

    @property
    def source(self) -> str:
        def lines(text: str, depth: int) -> str:
            return ("\n" + " " * depth).join(text.strip("\n").splitlines())

        return FRAME.format(
            before=self.before,
            init=lines(self.init, 8),
            parameters=self.parameters,
            body=lines(self.body, 8),
            example=self.example,
            after=lines(self.after, 4),
        )


TWO = (
    "(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8), torch.linspace(1, -1, 64).reshape(1, 1, 8, 8))"
)
BODY = "x = self.relu(self.conv(self.q(x)))\n"
HEAD = "\nreturn self.fc(torch.flatten(x, 1))"

SUPPORTED: dict[str, Wild] = {
    "quant tensors": Wild(c=True),
    "plain tensors": Wild(
        init="self.q = QuantIdentity(return_quant_tensor=False)\n"
        "self.relu = QuantReLU(return_quant_tensor=False)"
    ),
    "functional relu before a quantiser": Wild(
        init="self.q2 = QuantIdentity(return_quant_tensor=True)",
        body="x = self.q2(F.relu(self.conv(self.q(x))))" + HEAD,
    ),
    "shape from x.size": Wild(body=BODY + "x = x.view(x.size(0), -1)\nreturn self.fc(x)"),
    "shape with a fixed batch of one": Wild(body=BODY + "return self.fc(x.reshape(1, 256))"),
    "plus": Wild(
        init="self.conv2 = QuantConv2d(4, 4, 3, padding=1)\nself.q2 = QuantReLU(return_quant_tensor=True)",
        body=BODY + "x = self.q2(x + self.relu(self.conv2(x)))" + HEAD,
        c=True,
    ),
    "torch.cat of one quantiser": Wild(
        init="self.fc2 = QuantLinear(512, 10)",
        body=BODY + "x = torch.cat([x, x], dim=1)\nreturn self.fc2(torch.flatten(x, 1))",
    ),
    "one conv called twice": Wild(
        init="self.same = QuantConv2d(4, 4, 3, padding=1)",
        body=BODY + "x = self.relu(self.same(self.relu(self.same(x))))" + HEAD,
        c=True,
    ),
    "nested Sequential": Wild(
        init="self.layers = nn.Sequential(nn.Sequential(self.q, nn.Sequential(self.conv)), self.relu)",
        body="x = self.layers(x)" + HEAD,
    ),
    "ModuleList": Wild(
        init="self.layers = nn.ModuleList(QuantConv2d(4, 4, 3, padding=1) for _ in range(2))",
        body=BODY + "for layer in self.layers:\n    x = self.relu(layer(x))" + HEAD,
    ),
    "ModuleDict": Wild(
        init="self.layers = nn.ModuleDict({'b.c'.replace('.', '_'): QuantConv2d(4, 4, 3, padding=1), "
        "'a': QuantConv2d(4, 4, 1)})",
        body=BODY + "for name, layer in self.layers.items():\n    x = self.relu(layer(x))" + HEAD,
    ),
    "two inputs": Wild(
        parameters="self, x, y",
        example=TWO,
        init="self.add = QuantAdd()",
        body="x = self.relu(self.conv(self.add(self.q(x), self.q(y))))" + HEAD,
        c=True,
    ),
    "one input twice": Wild(
        init="self.q2 = QuantIdentity(bit_width=4, return_quant_tensor=True)\nself.add = QuantAdd()",
        body="x = self.relu(self.conv(self.add(self.q(x), self.q2(x))))" + HEAD,
    ),
    "a tuple of outputs": Wild(
        init="self.fc2 = QuantLinear(256, 2)",
        body=BODY + "x = torch.flatten(x, 1)\nreturn self.fc(x), self.fc2(x)",
        c=True,
    ),
    "a dict of outputs": Wild(
        init="self.fc2 = QuantLinear(256, 2)",
        body=BODY + "x = torch.flatten(x, 1)\nreturn {'class': self.fc(x), 'box': self.fc2(x)}",
    ),
    "a list of outputs": Wild(
        init="self.fc2 = QuantLinear(256, 2)",
        body=BODY + "x = torch.flatten(x, 1)\nreturn [self.fc(x), self.fc2(x)]",
    ),
    "a named tuple of outputs": Wild(
        before="import collections\nOut = collections.namedtuple('Out', 'a b')",
        init="self.fc2 = QuantLinear(256, 2)",
        body=BODY + "x = torch.flatten(x, 1)\nreturn Out(self.fc(x), self.fc2(x))",
    ),
    "an inner activation is returned too": Wild(body=BODY + "return self.fc(x.flatten(1)), x"),
    "one output twice": Wild(body=BODY + "y = self.fc(x.flatten(1))\nreturn y, y"),
    "batch of four": Wild(example="(torch.linspace(-1, 1, 256).reshape(4, 1, 8, 8),)"),
    "example is one tensor": Wild(example="torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)"),
    "example is a list": Wild(example="[torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)]"),
    "example in float64": Wild(example="(torch.linspace(-1, 1, 64).double().reshape(1, 1, 8, 8),)"),
    "registered in reverse": Wild(
        init="self.z = self.fc2 = QuantLinear(10, 3)\nself.a = QuantConv2d(4, 4, 1)\n"
        "self.b = QuantConv2d(4, 4, 3, padding=1)\nself.last = QuantReLU(return_quant_tensor=True)",
        body=BODY + "x = self.relu(self.b(x))\nx = self.last(self.a(x))" + HEAD,
    ),
    "a quantiser reused for equal scales": Wild(
        init="self.conv2 = QuantConv2d(1, 4, 1)\n"
        "self.same = QuantIdentity(return_quant_tensor=True)\nself.add = QuantAdd()",
        body="x = self.q(x)\nx = self.add(self.same(self.conv(x)), self.same(self.conv2(x)))"
        + HEAD,
    ),
    "torch.compile": Wild(after="model = torch.compile(model)"),
    "DataParallel": Wild(after="model = nn.DataParallel(model)"),
    "tied layers": Wild(
        init="self.fc1 = QuantLinear(8, 8, bias=False)\nself.fc2 = QuantLinear(8, 8, bias=False)\n"
        "self.fc2.weight = self.fc1.weight",
        body="x = self.relu(self.fc1(self.q(x)))\nreturn self.fc2(x)",
    ),
    "tied embedding and linear": Wild(
        init="self.table = qnn.QuantEmbedding(16, 8)\nself.out = QuantLinear(8, 16, bias=False)\n"
        "self.out.weight = self.table.weight",
        body="return self.out(self.q(self.table(x)))",
        example="(torch.arange(6).reshape(1, 6),)",
    ),
    "permuted and made contiguous": Wild(
        init="self.fc3 = QuantLinear(4, 3)",
        body=BODY + "x = x.permute(0, 2, 3, 1).contiguous()\nreturn self.fc3(x)",
    ),
    "permuted, not contiguous": Wild(
        init="self.fc3 = QuantLinear(8, 3)",
        body=BODY + "return self.fc3(x.transpose(2, 3))",
        c=True,
    ),
    "slices": Wild(
        init="self.relu = QuantReLU(return_quant_tensor=False)\nself.fc4 = QuantLinear(64, 3)",
        body=BODY + "x = x[:, 1:3, ::2]\nreturn self.fc4(x.flatten(1))",
    ),
    "an example that is not contiguous": Wild(
        example="(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).permute(0, 1, 3, 2),)"
    ),
    "an example that requires gradients": Wild(
        example="(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).requires_grad_(),)"
    ),
    "left in training mode": Wild(after="model.train()"),
    "dropout": Wild(
        init="self.drop = nn.Dropout(0.5)",
        body=BODY + "x = self.drop(x)" + HEAD,
        warns="remove it for inference graphs",
    ),
    "unused modules": Wild(init="self.spare = nn.LSTM(3, 3)\nself.other = QuantConv2d(7, 7, 7)"),
    "no_grad inside": Wild(
        body="with torch.no_grad():\n    x = self.relu(self.conv(self.q(x)))" + HEAD
    ),
    "forward under a decorator": Wild(
        before="def plain(f):\n    return functools.wraps(f)(lambda self, x: f(self, x))",
        body=BODY
        + "@torch.no_grad()\ndef head(y):\n    return self.fc(y.flatten(1))\nreturn head(x)",
    ),
    "a module without quantisers": Wild(
        before="class Wrap(nn.Module):\n    def __init__(self, inner):\n        super().__init__()\n"
        "        self.inner = inner\n    def forward(self, y):\n        return self.inner(y)",
        init="self.wrap = Wrap(QuantConv2d(4, 4, 1))",
        body=BODY + "x = self.relu(self.wrap(x))" + HEAD,
    ),
    "a lambda for an activation": Wild(
        init="self.act = lambda y: F.leaky_relu(y, 0.125)\nself.q2 = QuantIdentity(return_quant_tensor=True)",
        body="x = self.q2(self.act(self.conv(self.q(x))))" + HEAD,
    ),
    "moved before it is quantised": Wild(
        body="x = self.relu(self.conv(self.q(x.transpose(2, 3).flatten(2).view(1, 1, 8, 8))))"
        + HEAD,
    ),
    "one input of two reaches the end": Wild(
        parameters="self, x, y", example=TWO, body="self.q(y)\n" + BODY + HEAD, c=True
    ),
    "a compiled part": Wild(after="model.conv = torch.compile(model.conv)"),
    "a compiled function": Wild(
        before="@torch.compile\ndef head(layer, y):\n    return layer(y.flatten(1))\n",
        after="Model.head = staticmethod(head)",
        body=BODY + "return getattr(self, 'head', lambda f, y: f(y.flatten(1)))(self.fc, x)",
    ),
    "a partial for an activation": Wild(
        init="self.act = functools.partial(F.leaky_relu, negative_slope=0.125)\n"
        "self.q2 = QuantIdentity(return_quant_tensor=True)",
        body="x = self.q2(self.act(self.conv(self.q(x))))" + HEAD,
    ),
    "control flow on a shape": Wild(
        body=BODY
        + "if x.shape[-1] > 4:\n    x = F.max_pool2d(x, 2)\nreturn self.fc5(x.flatten(1))",
        init="self.fc5 = QuantLinear(64, 10)",
    ),
    "keyword arguments": Wild(
        before="class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.c = QuantConv2d(4, 4, 1)\n    def forward(self, a, *, b=None, **rest):\n"
        "        return self.c(a) if b is None else self.c(b)",
        init="self.block = Block()",
        body=BODY + "x = self.relu(self.block(a=x, b=x, unused=3))" + HEAD,
    ),
    "default arguments": Wild(parameters="self, x, mask=None, scale=1, *, training=False"),
    "an input that is not used": Wild(parameters="self, x, y", example=TWO),
    "buffers": Wild(
        init="self.register_buffer('steps', torch.zeros(1))\nself.register_buffer('mean', torch.ones(3))"
    ),
    "clamp": Wild(
        init="self.q2 = QuantIdentity(return_quant_tensor=True)",
        body="x = self.q2(torch.clamp(self.conv(self.q(x)), 0, 6))" + HEAD,
    ),
    "a parameter is added": Wild(
        init="self.shift = nn.Parameter(torch.ones(1))\nself.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(x.value + self.shift)" + HEAD,
    ),
    "a tensor made in forward": Wild(
        init="self.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(x.value + torch.ones(1))" + HEAD,
    ),
    "batch norm": Wild(
        init="self.norm = nn.BatchNorm2d(4)",
        body="x = self.relu(self.norm(self.conv(self.q(x))))" + HEAD,
    ),
    "batch norm with gammas below zero, behind filters of 4 bits": Wild(
        init="self.wide = QuantConv2d(4, 4, 3, padding=1, groups=4, bias=False, weight_bit_width=4)\n"
        "self.norm = nn.BatchNorm2d(4)\n"
        "self.norm.weight.data.copy_(torch.tensor([0.7, -1.3, 0.0, 2.1]))\n"
        "self.hard = qnn.QuantHardTanh(min_val=-2.0, max_val=2.0, return_quant_tensor=True)",
        body=BODY + "x = self.hard(self.norm(self.wide(x)))" + HEAD,
        c=True,
    ),
    "batch norm before its convolution": Wild(
        init="self.norm = nn.BatchNorm2d(4)\nself.wide = QuantConv2d(4, 4, 3, padding=1)\n"
        "self.relu2 = QuantReLU(bit_width=2, return_quant_tensor=True)",
        body=BODY + "x = self.relu(self.wide(self.relu2(self.norm(x))))" + HEAD,
        c=True,
    ),
    "a residual sum of Brevitas": Wild(
        init="self.wide = QuantConv2d(4, 4, 3, padding=1)\n"
        "self.relu2 = QuantReLU(return_quant_tensor=True)\n"
        "self.join = qnn.QuantEltwiseAdd(return_quant_tensor=True)",
        body=BODY + "x = self.join(x, self.relu2(self.wide(x)))" + HEAD,
        c=True,
    ),
    "images normalised in forward": Wild(
        init="self.register_buffer('mean', torch.tensor([0.25]))\n"
        "self.register_buffer('std', torch.tensor([0.3]).reshape(1, 1, 1))",
        body="x = (x / 2 + 0.5 - self.mean.view(-1, 1, 1)) / self.std\n" + BODY + HEAD,
        c=True,
    ),
    "dilation": Wild(
        init="self.wide = QuantConv2d(4, 4, 3, padding=2, dilation=2)",
        body=BODY + "x = self.relu(self.wide(x))" + HEAD,
        c=True,
    ),
    "a parametrised forward loop": Wild(
        init="self.times = 3\nself.deep = QuantConv2d(4, 4, 1)",
        body=BODY + "for _ in range(self.times):\n    x = self.relu(self.deep(x))" + HEAD,
    ),
    "parameters frozen, and hooks": Wild(
        after="model.requires_grad_(False)\nmodel.conv.register_forward_hook(lambda *a: None)"
    ),
    "a Python int among the outputs": Wild(
        body=BODY + "return {'y': self.fc(x.flatten(1)), 'epoch': 3, 'none': None}"
    ),
    "in place relu": Wild(
        init="self.act = nn.ReLU(inplace=True)\nself.q2 = QuantIdentity(return_quant_tensor=True)",
        body="x = self.q2(self.act(self.conv(self.q(x))))" + HEAD,
    ),
}

REFUSED: dict[str, Wild] = {
    "float16": Wild(after="model.half()", code=1, says=("q", "model.float()")),
    "float64": Wild(after="model.double()", code=1, says=("q", "model.float()")),
    "a lambda that holds the model": Wild(
        init="self.act = lambda y: self.relu(F.relu(y))",
        body="x = self.act(self.conv(self.q(x)))" + HEAD,
        code=1,
        says=("register",),
    ),
    "in place addition": Wild(body=BODY + "x += x" + HEAD, code=1, says=("QuantAdd",)),
    "in place on a plain tensor": Wild(
        init="self.relu = QuantReLU()", body=BODY + "x[:, 0] = 0" + HEAD, code=1, says=("cat",)
    ),
    "control flow on data": Wild(
        body=BODY + "if x.value.sum() > 0:\n    x = self.relu(x)" + HEAD, code=1, says=("values",)
    ),
    "a float from the data": Wild(
        init="self.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(x.value / float(x.value.max()))" + HEAD,
        code=1,
        says=("values",),
    ),
    "batch norm of the batch": Wild(
        init="self.norm = nn.BatchNorm2d(4, track_running_stats=False)",
        body="x = self.relu(self.norm(self.conv(self.q(x))))" + HEAD,
        code=1,
        says=("norm", "track_running_stats=True"),
    ),
    "conv transpose": Wild(
        init="self.up = nn.ConvTranspose2d(4, 4, 3, padding=1)",
        body=BODY + "x = self.relu(self.up(x))" + HEAD,
        code=1,
        says=("up", "QuantConvTranspose2d"),
    ),
    "float layers": Wild(
        init="self.conv = nn.Conv2d(1, 4, 3, padding=1)", code=1, says=("conv", "QuantConv2d")
    ),
    "no quantiser at the input": Wild(
        body="x = self.relu(self.conv(x))" + HEAD, code=1, says=("conv", "QuantIdentity")
    ),
    "one refused layer among two": Wild(
        init="self.norm = nn.LocalResponseNorm(2)",
        body="x = self.relu(self.norm(self.conv(self.q(x))))" + HEAD,
        code=1,
        says=("norm LocalResponseNorm",),
    ),
    "functional relu alone": Wild(
        body="x = F.relu(self.conv(self.q(x)))" + HEAD, code=1, says=("fc", "QuantIdentity")
    ),
    "a functional layer with its weights": Wild(
        body=BODY + "return F.linear(x.value.flatten(1), self.fc.weight, self.fc.bias)",
        code=1,
        says=("call the layer",),
    ),
    "a class with the name of an ARES layer": Wild(
        before="class QuantAdd(nn.Module):\n    def forward(self, a, b):\n        return torch.fmod(a, b)",
        init="self.add = QuantAdd()\nself.q2 = QuantIdentity(return_quant_tensor=True)",
        body=BODY + "x = self.q2(self.add(x, x))" + HEAD,
        code=1,
        says=("add QuantAdd", "from ares.nn import QuantAdd"),
    ),
    "a subclass of a layer that behaves otherwise": Wild(
        before="class Odd(QuantConv2d):\n    def forward(self, x):\n        return super().forward(x) * 2",
        init="self.conv = Odd(1, 4, 3, padding=1)",
        code=1,
        says=("conv",),
    ),
    "a buffer that counts": Wild(
        init="self.register_buffer('steps', torch.zeros(1))",
        body="self.steps += 1\n" + BODY + HEAD,
        code=1,
        says=("steps",),
    ),
    "random numbers": Wild(
        init="self.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(x.value + torch.randn_like(x.value))" + HEAD,
        code=1,
        says=("random",),
    ),
    "functional dropout that is always on": Wild(
        init="self.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(F.dropout(x.value))" + HEAD,
        code=1,
        says=("random",),
    ),
    "numpy inside": Wild(
        body=BODY + "x = torch.from_numpy(x.value.detach().numpy())" + HEAD, code=1, says=("numpy",)
    ),
    "the batch is mixed": Wild(
        body=BODY + "x = x.transpose(0, 1)\nreturn self.fc(x.reshape(1, 256))",
        code=1,
        says=("batch",),
    ),
    "torch.einsum": Wild(
        init="self.q2 = QuantIdentity()",
        body=BODY + "x = self.q2(torch.einsum('bchw,bchw->bchw', x.value, x.value))" + HEAD,
        code=1,
        says=("einsum",),
    ),
    "layers in a Python list": Wild(
        init="self.hidden = [QuantConv2d(4, 4, 1)]",
        body=BODY + "x = self.relu(self.hidden[0](x))" + HEAD,
        code=1,
        says=("ModuleList",),
    ),
    "a string comes out": Wild(
        body=BODY + "return self.fc(x.flatten(1)), {1, 2}", code=1, says=("forward returns",)
    ),
    "nothing comes out": Wild(
        body=BODY + "self.fc(x.flatten(1))\nreturn None",
        code=1,
        says=("forward returns no tensor",),
    ),
    "an input is a dict": Wild(
        after="globals()['example_inputs'] = lambda: ({'image': torch.zeros(1, 1, 8, 8)},)",
        code=2,
        says=("example_inputs()", "expected a tuple of tensors"),
    ),
    "create_model raises": Wild(
        after="raise RuntimeError('weights are elsewhere')",
        code=2,
        says=("create_model()", "weights are elsewhere"),
    ),
    "create_model returns no model": Wild(
        after="model = None", code=2, says=("create_model()", "expected an nn.Module")
    ),
    "a traced model": Wild(
        after="model = torch.jit.trace(nn.Linear(8, 2), torch.zeros(1, 8))",
        code=2,
        says=("the model is TorchScript", "give the nn.Module"),
    ),
    "a scripted part": Wild(
        after="model.conv = torch.jit.script(nn.Conv2d(1, 4, 3, padding=1))",
        says=("ScriptMethod cannot be mapped", "TorchScript", "give the nn.Module"),
    ),
    "a shape that does not fit": Wild(
        after="globals()['example_inputs'] = lambda: (torch.zeros(1, 1, 9, 9),)",
        code=2,
        says=("forward raised in module 'fc' (QuantLinear)", "(1, 1, 9, 9)", "example_inputs()"),
    ),
    "too few inputs": Wild(
        after="globals()['example_inputs'] = lambda: ()", code=2, says=("missing 1 required",)
    ),
}
