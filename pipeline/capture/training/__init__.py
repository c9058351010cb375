"""Training of the networks on procedural materials."""
