"""A convolutional network with a residual block that reads handwritten digits, from training to C.

Train it; a minute on two cores, real data, nothing to download:

    pip install scikit-learn
    python examples/cnn.py

Then ask ARES whether it can be mapped, have every layer proven, and write the C project:

    ares check --model-file examples/cnn.py
    ares verify --model-file examples/cnn.py --state-dict weights.safetensors
    ares export digits_cnn --model-file examples/cnn.py --state-dict weights.safetensors
"""

import argparse
import warnings

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from ares.nn import (
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
    ResidualBlock,
    default_quant_identity,
)


class DigitsCNN(nn.Module):
    """[B, 1, 8, 8] pixels in 0..1 -> [B, 10] logits.

    What ARES needs to know is where values are rounded to 8 bits. That is at every quantiser: `default_quant_identity`
    (signed) and `ReLU` (unsigned). A convolution has none of its own: it and the ReLU behind it become one operation
    with one rounding.
    """

    def __init__(self):
        super().__init__()
        self.quant_in = default_quant_identity()  # the image becomes codes first
        self.conv = Conv2d(1, 16, 3, padding=1)
        self.relu = ReLU()
        self.pool = MaxPool2d(2)  # the largest of some codes is a code
        self.block = ResidualBlock(16)  # relu(x + conv(relu(conv(x)))), with its quantisers
        self.average = GlobalAvgPool()
        self.quant_average = default_quant_identity()  # an average of codes is none: round it
        self.flatten = Flatten()
        self.classifier = Linear(16, 10)  # the last layer may stay unrounded: float logits

    def forward(self, x):
        x = self.pool(self.relu(self.conv(self.quant_in(x))))
        x = self.block(x)
        x = self.quant_average(self.average(x))
        return self.classifier(self.flatten(x))


def create_model():
    """Called by ARES, which then loads the weights of --state-dict."""
    return DigitsCNN()


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
    """Train in float, calibrate, fine-tune with quantisers on, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", default="weights.safetensors")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Brevitas warns about optional packages
        from brevitas.graph.calibrate import calibration_mode, quantization_status_manager
    off = dict.fromkeys(("disable_act_quant", "disable_weight_quant", "disable_bias_quant"), True)

    torch.manual_seed(0)
    model = create_model()
    images, labels, test_images, test_labels = digits()

    # 1. The float network: all quantisers let values through.
    with quantization_status_manager(model, **off):
        train(model, images, labels, options.epochs, rate=1e-2)
        print(f"float:     {accuracy(model, test_images, test_labels):.1%}")

    # 2. Calibration: every quantiser sees real values and chooses its scale.
    model.eval()
    with torch.no_grad(), calibration_mode(model):
        for batch in images.split(64):
            model(batch)

    # 3. A few epochs more with rounding switched on; scales are learned like weights.
    train(model, images, labels, max(1, options.epochs // 10), rate=3e-4)
    print(f"quantised: {accuracy(model, test_images, test_labels):.1%}")

    save_file(model.state_dict(), options.output)
    print(f"saved {options.output}")


if __name__ == "__main__":
    main()
