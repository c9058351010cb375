"""Procedural materials: any number of them, each a function of its seed."""
