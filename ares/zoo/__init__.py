"""What the networks of `tests/test_networks` are made with: data, weights, training, stored state.

| module | content |
|---|---|
| `digits`, `signals` | inputs, exact and the same on every machine |
| `philox`, `weights` | counter-based random bits, and the initial weights made of them |
| `training` | the short training on the digits, and calibration |
| `dimensions` | what a network's file promises of its size |
| `network_file` | loads a network's file, from the zoo or from a user |
| `state` | the stored state (`golden/<network>/state.safetensors`): made, written, loaded |

A network's file imports `digits`, `signals` or `weights`; importing this package imports none of them.
"""
