"""The whole stack as real processes on loopback, and the story that the demo tells with it.

``processes`` starts and stops programs, ``identities`` is a stand-in identity provider and cluster, ``stack`` puts Valkey, sandbox and
broker together, ``story`` is the demo. Tests and benchmarks use the same stack.
"""
