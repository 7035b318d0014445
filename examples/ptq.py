"""An ordinary float network that reads handwritten digits, quantised after its training by Brevitas, then to C.

Train it and quantise it; half a minute on two cores, real data, nothing to download:

    pip install scikit-learn
    python examples/ptq.py

Then ask ARES whether it can be mapped, have every layer proven, and write the C project:

    ares check --model-file examples/ptq.py
    ares verify --model-file examples/ptq.py --state-dict weights.pt
    ares export digits_ptq --model-file examples/ptq.py --state-dict weights.pt
"""

import argparse
import warnings

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Brevitas warns about optional packages
    from brevitas.graph.calibrate import calibration_mode
    from brevitas.graph.quantize import preprocess_for_quantize, quantize


class Residual(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x)))))) of [B, channels, H, W]."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x):
        y = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(x + self.norm2(self.conv2(y)))


class FloatDigits(nn.Module):
    """[B, 1, 8, 8] pixels in 0..1 -> [B, 10] logits; nothing of Brevitas or ARES in it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.block = Residual(16)
        self.near = nn.Sequential(nn.Conv2d(16, 16, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x):
        x = self.block(self.pool(self.relu(self.norm(self.conv(x)))))
        x = torch.cat([self.near(x), self.wide(x)], dim=1)
        return self.classifier(self.dropout(x.mean((2, 3))))


def quantised(model):
    """The float network with quantisers in place; it takes the layers over, so use `model` no more.

    BatchNorm is merged into the convolution before it, a ReLU becomes a `QuantReLU`, and the operands of a sum or a
    concatenation share a quantiser.
    """
    return quantize(preprocess_for_quantize(model.eval()))


def create_model():
    """Called by ARES, which then loads the weights of --state-dict."""
    return quantised(FloatDigits())


def example_inputs():
    """Called by ARES: a real input, with its batch, that shows what forward takes."""
    return (digits()[2][:1],)


def digits():
    """Training images and labels, test images and labels."""
    data = load_digits()  # 1797 images, 8 x 8 pixels in 0..16
    images = torch.tensor(data.images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(data.target)
    train, test = train_test_split(range(len(labels)), test_size=0.2, random_state=0)
    return images[train], labels[train], images[test], labels[test]


def train(model, images, labels, epochs, rate):
    """Ordinary PyTorch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=epochs)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(32):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        decay.step()
    model.eval()


def accuracy(model, images, labels):
    """Share of images that are classified correctly."""
    with torch.no_grad():
        return (model(images).argmax(dim=1) == labels).float().mean().item()


def main():
    """Train in float, quantise, calibrate, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", default="weights.pt")
    options = parser.parse_args()

    torch.manual_seed(0)
    model = FloatDigits()
    images, labels, test_images, test_labels = digits()

    # 1. The float network. Yours is trained already: load its weights instead.
    train(model, images, labels, options.epochs, rate=1e-2)
    print(f"float:     {accuracy(model, test_images, test_labels):.1%}")

    # 2. Calibration: every quantiser sees real values and chooses its scale.
    model = quantised(model)
    with torch.no_grad(), calibration_mode(model):
        for batch in images.split(64):
            model(batch)
    for module in model.modules():
        module.observer_only = False  # calibration leaves quantisers switched off that a cat shares
    print(f"quantised: {accuracy(model, test_images, test_labels):.1%}")

    # Shared quantisers share their scales, which `torch.save` keeps and safetensors does not write.
    torch.save(model.state_dict(), options.output)
    print(f"saved {options.output}")


if __name__ == "__main__":
    main()
