"""The world: one file for each thing in it, each keeping a promise of ``core/ports.py``."""
