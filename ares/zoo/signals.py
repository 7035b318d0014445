"""Structured inputs for the networks that are not trained: EEG, PPG, token sequences, pictures.

Every function returns a batch of one, float32, and is pure: `sample` chooses among endless examples.
Values are sums of integers times 2^-10, so they are exact, and the same on every machine: noise comes
from `ares.zoo.philox`, phases are integers modulo one turn, and the sine is a polynomial in float64
made of single correctly rounded operations and then rounded to an integer (libm's sine differs
between machines in the last bit).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ares.zoo.philox import integers

Integers = npt.NDArray[np.int64]

_TURN = 1 << 32
_UNIT = 1 << 10
# sin(pi/2 u) / u as a polynomial in u^2 for |u| <= 1 (Taylor, error below 4e-6).
_SINE = (1.5707963267948966, -0.6459640975062462, 0.07969262624616703, -0.004681754135318687,
         0.00016044118478735975)  # fmt: skip


def eeg(channels: int, samples: int, sample: int = 0) -> Tensor:
    """[1, 1, channels, samples] at 500 Hz: alpha and beta rhythms that come and go, 1/f noise, blinks.

    The sources are common; each channel mixes them with weights of its own, of either sign.
    """
    key = f"eeg/{channels}x{samples}/{sample}"
    time = np.arange(samples, dtype=np.int64)
    alpha = _rhythm(key + "/alpha", time, rate=500, low=8, high=12) * _envelope(key + "/a", samples)
    beta = _rhythm(key + "/beta", time, rate=500, low=15, high=28) * _envelope(key + "/b", samples)
    blink = _steps(key + "/blink", samples, hold=180) * _UNIT
    mix = integers(key + "/mix", 3 * channels, -48, 64).reshape(3, channels, 1)
    rows = (mix[0] * (alpha // 64) + mix[1] * (beta // 64) + mix[2] * blink // 4) // 64
    noise = np.stack([_pink(f"{key}/noise{channel}", samples) for channel in range(channels)])
    return _tensor(rows + noise, (1, 1, channels, samples))


def ppg(channels: int, samples: int, sample: int = 0) -> Tensor:
    """[1, 1, channels, samples] at 500 Hz: a pulse wave (three harmonics), breathing, drift, noise."""
    key = f"ppg/{channels}x{samples}/{sample}"
    time = np.arange(samples, dtype=np.int64)
    heart = integers(key + "/heart", 1, 60, 100)[0]  # beats per minute
    rows = []
    for channel in range(channels):
        lag = time + integers(f"{key}/lag{channel}", 1, 0, 60)[0]
        pulse = sum(
            _sine(lag * (heart * k * _TURN // (60 * 500)) + k * _TURN // 5) // k for k in (1, 2, 3)
        )
        breath = _sine(time * (_TURN // (4 * 500))) // 3
        rows.append(pulse + breath + _pink(f"{key}/noise{channel}", samples) // 6)
    return _tensor(np.stack(rows), (1, 1, channels, samples))


def tokens(count: int, width: int, sample: int = 0) -> Tensor:
    """[1, count, width]: each feature has its own mean, wanders slowly along the tokens, and is noisy."""
    key = f"tokens/{count}x{width}/{sample}"
    means = integers(key + "/mean", width, -600, 600)
    noise = integers(key + "/noise", count * width, -500, 500).reshape(count, width)
    phases = integers(key + "/phase", width, 0, _TURN - 1)
    speeds = integers(key + "/speed", width, _TURN // 256, _TURN // 16)
    waves = _sine(np.arange(count, dtype=np.int64)[:, np.newaxis] * speeds + phases)
    return _tensor(means + waves + noise, (1, count, width))


def vector(width: int, sample: int = 0) -> Tensor:
    """[1, width]: one row of `tokens`."""
    return tokens(1, width, sample)[:, 0]


def picture(channels: int, height: int, width: int, sample: int = 0) -> Tensor:
    """[1, channels, height, width]: colour gradients, three light or dark rectangles, fine noise."""
    key = f"picture/{channels}x{height}x{width}/{sample}"
    y = np.arange(height, dtype=np.int64)[:, np.newaxis]
    x = np.arange(width, dtype=np.int64)
    slopes = integers(key + "/slope", 2 * channels, -900, 900).reshape(2, channels, 1, 1)
    image = slopes[0] * (2 * y - height) // height + slopes[1] * (2 * x - width) // width
    for box in range(3):
        place = integers(f"{key}/place{box}", 4, 0, 99)
        top, left = place[0] * height // 100, place[1] * width // 100
        bottom, right = top + place[2] * height // 200 + 1, left + place[3] * width // 200 + 1
        colour = integers(f"{key}/colour{box}", channels, -1000, 1500)
        image[:, top:bottom, left:right] += colour[:, np.newaxis, np.newaxis]
    noise = integers(key + "/noise", image.size, -100, 100).reshape(image.shape)
    return _tensor(image + noise, (1, channels, height, width))


def _tensor(values: Integers, shape: tuple[int, ...]) -> Tensor:
    """`values` * 2^-10, exactly."""
    return torch.from_numpy((values.astype(np.float32) / np.float32(_UNIT)).reshape(shape))


def _sine(phase: Integers) -> Integers:
    """round(1024 sin(2 pi phase / 2^32))"""
    folded = (phase + _TURN // 4) % _TURN - _TURN // 2  # -1/2 .. 1/2 turn, sine = falling .. rising
    u = 1.0 - np.abs(folded).astype(np.float64) / (_TURN // 4)  # sin(2 pi phase) = sin(pi/2 u)
    square = u * u
    sum_ = np.full_like(u, _SINE[-1])
    for coefficient in reversed(_SINE[:-1]):
        sum_ = sum_ * square + coefficient
    return np.rint(sum_ * u * _UNIT).astype(np.int64)


def _rhythm(key: str, time: Integers, rate: int, low: int, high: int) -> Integers:
    """A sine whose frequency, in Hz, lies between `low` and `high`; magnitude 1024."""
    frequency = integers(key + "/millihertz", 1, 1000 * low, 1000 * high)[0]
    start = integers(key + "/start", 1, 0, _TURN - 1)[0]
    return _sine(time * (frequency * _TURN // (1000 * rate)) + start)


def _envelope(key: str, samples: int) -> Integers:
    """0..64, piecewise linear, with a knot every 128 samples."""
    knots = integers(key + "/knots", samples // 128 + 2, 0, 64)
    time = np.arange(samples, dtype=np.int64)
    left, offset = time // 128, time % 128
    return (knots[left] * (128 - offset) + knots[left + 1] * offset) // 128


def _steps(key: str, samples: int, hold: int) -> Integers:
    """0 or 1, constant for `hold` samples: 1 one time in four."""
    return np.repeat(integers(key, samples // hold + 1, 0, 3) == 3, hold)[:samples].astype(np.int64)


def _pink(key: str, samples: int) -> Integers:
    """1/f noise after Voss: a sum of eight random sequences, each held twice as long as the last."""
    total = np.zeros(samples, dtype=np.int64)
    for octave in range(8):
        hold = 1 << octave
        total += np.repeat(integers(f"{key}/{octave}", samples // hold + 1, -200, 200), hold)[
            :samples
        ]
    return total
