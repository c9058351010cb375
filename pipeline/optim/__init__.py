"""Optimisers for neural fields, the theory's probes, fields to use them on, and neural assets."""
