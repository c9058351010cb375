"""From a photograph's file to what the networks take: linear light on a flat patch, and where camera and flash were."""
