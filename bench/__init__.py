"""Benchmarks: what the broker costs beyond Flask under gunicorn, told as ratios against floors measured in the same run.

``floors`` are the two servers to compare with, ``setting`` starts everything and prepares the requests, ``load`` is the client,
``rounds`` interleaves the measurements, ``footprint`` reads memory and CPU, ``report`` tells it all. README.md is the method.
"""
