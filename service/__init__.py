"""The B2B credential broker.

It takes a store's administrator password once, has BigCommerce B2B Edition make one token, keeps that token sealed in
Redis, and gives other services short-lived references to it. Read the packages in the order of a request:

* ``wsgi`` is what gunicorn imports; ``app`` wires everything; ``settings`` is all that can be set; ``server`` and ``worker`` are gunicorn
  as this project runs it.
* ``web`` is the HTTP edge: who is calling, what do they ask, how is it answered.
* ``core`` holds the rules and knows nothing of the world.
* ``adapters`` are the world: one file for each thing in it.
* ``cli`` is what an operator types.
"""

__version__ = "0.1.0"
