"""Scenes of other programs, turned into scenes of Mitsuba."""
