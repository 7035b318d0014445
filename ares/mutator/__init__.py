"""`ares mutate`: faults made by rule in the C runtime and in the Python that makes and judges it, and what sees them.

Nothing of the checkout is changed: mutated C lies in folders of its own, mutated Python in the memory of a child.
"""
