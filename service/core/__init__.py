"""The rules: what the broker promises, without a framework, a store, a clock, the environment, a socket or a log.

Values first (``secret``, ``caller``, ``reference``, ``grant``, ``records``), then the checks (``policy``, ``scope``, ``target``,
``headers``, ``guard``), the cryptography (``keyring``, ``sealing``), and last the use cases that put them in order (``stores``,
``issuing``, ``references``, ``proxy``, ``explaining``). What they need of the world is in ``ports``.
"""
