"""Neural assets: maps of textures and environment lights fitted by small networks, for scenes to name as files."""
