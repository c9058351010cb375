"""Configuration: shots and farm profiles, as immutable models that were checked at the door.

`pipeline.config.load.load_shot` and `pipeline.config.farm.load_farm` read files; the models stand in a module each.
"""
