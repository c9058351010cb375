"""Procedural scenes to train the denoiser on: `recipe.recipe(seed)` describes one, `recipe.place` puts it into blobs.

    geometry → shapes → furniture ┐
    noise → textures → materials  ├─▶ stage ◀── interiors, exteriors, tabletops (the layouts) ──▶ recipe
    lights, cameras, movement     ┘

Plain numpy: nothing here imports Mitsuba. All scenes of one material palette have the same plugins in the same number
and order (what a scene does not use is hidden below its floor), so that they share compiled kernels.
"""
