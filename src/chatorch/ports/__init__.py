"""What the domain needs from the world, as small protocols. Standard library only.

Adapters subclass these, so a missing method fails at construction. Each docstring is the contract; one contract
suite a port in `tests/contracts` runs over every adapter.
"""
