"""The split into emission, diffuse and specular, and the features: against closed forms and scenes with a lobe removed.

Under a sky of radiance 1 a convex body of albedo ρ shows ρ (a furnace), so that means are known and noise is low.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.render.buffers import FrameBuffers, luminance

SKY = '<emitter type="constant"><rgb name="radiance" value="1"/></emitter>'
LAMP = """<shape type="rectangle" id="lamp"><transform name="to_world"><scale value="2"/><rotate x="1" angle="90"/>
<translate y="3"/></transform><emitter type="area"><rgb name="radiance" value="3"/></emitter></shape>"""
RHO = (0.6, 0.3, 0.1)
DIFFUSE = '<bsdf type="diffuse"><rgb name="reflectance" value="0.6, 0.3, 0.1"/></bsdf>'
BLACK = '<bsdf type="diffuse"><rgb name="reflectance" value="0"/></bsdf>'
PLASTIC = """<bsdf type="roughplastic"><float name="alpha" value="0.2"/>
<rgb name="diffuse_reflectance" value="0.6, 0.3, 0.1"/><rgb name="specular_reflectance" value="{}"/></bsdf>"""
METAL = '<bsdf type="roughconductor"><float name="alpha" value="0.3"/></bsdf>'
CENTRE = (slice(3, 6), slice(6, 10))  # pixels well inside a ball of radius 1


def ball(bsdf: str, name: str = "ball") -> str:
    return f'<shape type="sphere" id="{name}">{bsdf}</shape>'


def wall(bsdf: str, z: float = -2, name: str = "wall") -> str:
    """Fills the picture."""
    place = f'<transform name="to_world"><scale value="9"/><translate z="{z}"/></transform>'
    return f'<shape type="rectangle" id="{name}">{place}{bsdf}</shape>'


@pytest.fixture
def see(program_of, shot):
    """XML → frame buffers of 16×9 pixels."""

    def run(body: str, spp: int = 256, **fields: Any) -> FrameBuffers:
        return shot(program_of(body, **fields), spp)

    return run


def mean(image: np.ndarray) -> np.ndarray:
    """Over the ball's inside: a colour."""
    return image[CENTRE].reshape(-1, image.shape[-1]).mean(0)


def luma(image: np.ndarray) -> float:
    return float(luminance(mean(image)))


def sigma(frame: FrameBuffers, part: str) -> float:
    """Standard error of `luma(part)`."""
    variance = frame.variance[part][CENTRE]
    return float(np.sqrt(variance.sum()) / variance.size)


def equal(a: FrameBuffers, part_a: str, b: FrameBuffers, part_b: str, *, scale: float = 1.0) -> bool:
    """`part_a` of a is `scale` times `part_b` of b, within 3.5 standard errors."""
    error = np.hypot(sigma(a, part_a), scale * sigma(b, part_b))
    return abs(luma(getattr(a, part_a)) - scale * luma(getattr(b, part_b))) < 3.5 * error + 1e-5


# --- Split --------------------------------------------------------------------------------------------------------


def test_a_white_furnace_shows_the_albedo_as_diffuse(see) -> None:
    frame = see(SKY + ball(DIFFUSE), 1024)
    assert_allclose(mean(frame.diffuse), RHO, rtol=0.01)
    assert not frame.specular.any()
    assert_allclose(mean(frame.albedo), RHO, rtol=1e-5)


@pytest.mark.parametrize("lights", [SKY, LAMP], ids=["sky", "lamp"])
def test_the_diffuse_part_of_rough_plastic_is_rough_plastic_without_its_coat(see, lights) -> None:
    glossy, bare = see(lights + ball(PLASTIC.format(1)), 512), see(lights + ball(PLASTIC.format(0)), 512)

    assert equal(glossy, "diffuse", bare, "beauty")
    assert luma(glossy.specular) > 5 * sigma(glossy, "specular")
    assert luma(bare.specular) < 0.01 * luma(bare.diffuse)


def test_later_bounces_belong_to_the_lobe_that_sent_the_path_there(see) -> None:
    floor = '<shape type="rectangle"><transform name="to_world"><scale value="9"/><rotate x="1" angle="-90"/>'
    floor += '<translate y="-1"/></transform><bsdf type="diffuse"><rgb name="reflectance" value="0.8"/></bsdf></shape>'
    glossy, bare = (see(LAMP + floor + ball(PLASTIC.format(k)), 1024, max_depth=3) for k in (1, 0))
    assert equal(glossy, "diffuse", bare, "beauty")


def test_a_blend_has_its_share_of_diffuse(see) -> None:
    blend = f'<bsdf type="blendbsdf"><float name="weight" value="0.4"/>{DIFFUSE}{METAL}</bsdf>'
    mixed, diffuse, metal = see(SKY + ball(blend), 512), see(SKY + ball(DIFFUSE), 512), see(SKY + ball(METAL), 512)

    assert equal(mixed, "diffuse", diffuse, "beauty", scale=0.6)
    assert equal(mixed, "specular", metal, "beauty", scale=0.4)


def test_both_sides_of_a_twosided_wall_are_split_alike(see) -> None:
    twosided = f'<bsdf type="twosided">{PLASTIC.format(1)}</bsdf>'
    turned = '<shape type="rectangle"><transform name="to_world"><scale value="9"/><rotate y="1" angle="180"/>'
    front = see(SKY + wall(twosided, 0), 512)
    back = see(SKY + turned + f"</transform>{twosided}</shape>", 512)
    plain = see(SKY + wall(PLASTIC.format(1), 0), 512)

    assert equal(front, "diffuse", plain, "diffuse") and equal(back, "diffuse", plain, "diffuse")
    assert equal(front, "specular", plain, "specular") and equal(back, "specular", plain, "specular")
    assert_allclose(mean(back.normal), [0, 0, 1], atol=1e-5)


def test_a_flat_normal_map_leaves_the_split_as_it_is(mi, see, tmp_path) -> None:
    mi.Bitmap(np.full((4, 4, 3), (0.5, 0.5, 1.0), np.float32)).write(str(tmp_path / "flat.exr"))
    texture = f'<texture type="bitmap" name="normalmap"><string name="filename" value="{tmp_path / "flat.exr"}"/>'
    mapped = f'<bsdf type="normalmap">{texture}<boolean name="raw" value="true"/></texture>{PLASTIC.format(1)}</bsdf>'
    bent, plain = see(SKY + ball(mapped), 512), see(SKY + ball(PLASTIC.format(1)), 512)

    assert equal(bent, "diffuse", plain, "diffuse")
    assert equal(bent, "specular", plain, "specular")


def test_the_diffuse_part_of_principled_is_bounded_by_its_base_colour(see) -> None:
    principled = '<bsdf type="principled"><rgb name="base_color" value="0.6, 0.3, 0.1"/></bsdf>'
    frame = see(SKY + ball(principled), 512)

    assert np.all(mean(frame.diffuse) <= np.multiply(RHO, 1.01))
    assert np.all(mean(frame.diffuse) > np.multiply(RHO, 0.7))
    assert mean(frame.specular).min() > 0
    assert_allclose(mean(frame.albedo), RHO, rtol=1e-4)


def test_a_principled_metal_has_no_diffuse_part_to_speak_of(see) -> None:
    metal = '<bsdf type="principled"><float name="metallic" value="1"/><float name="roughness" value="0.3"/></bsdf>'
    frame = see(SKY + ball(metal), 512)
    assert luma(frame.diffuse) < luma(frame.beauty)
    assert np.isfinite(frame.beauty).all()


@pytest.mark.parametrize(
    "bsdf",
    ['<bsdf type="conductor"/>', '<bsdf type="dielectric"/>', METAL, '<bsdf type="roughdielectric"/>'],
    ids=["mirror", "glass", "metal", "frosted glass"],
)
def test_surfaces_without_a_diffuse_lobe_have_no_diffuse_part(see, bsdf) -> None:
    frame = see(SKY + ball(bsdf), 64)
    assert not frame.diffuse.any()
    assert luma(frame.beauty) > 0.3


def test_the_sky_and_lamps_seen_directly_or_by_mirror_and_glass_are_emission(see) -> None:
    for bsdf in ('<bsdf type="conductor"/>', '<bsdf type="dielectric"/>', '<bsdf type="thindielectric"/>'):
        frame = see(SKY + ball(bsdf), 64)
        assert_allclose(frame.emission, frame.beauty)
        assert_allclose(frame.emission[0, 0], 1, rtol=1e-5)


def test_light_that_a_mirror_shows_is_split_where_it_scattered(see) -> None:
    mirror = '<bsdf type="conductor"><string name="material" value="none"/></bsdf>'
    behind = '<shape type="rectangle"><transform name="to_world"><scale value="30"/><rotate y="1" angle="180"/>'
    behind += f"<translate z='9'/></transform>{DIFFUSE}</shape>"
    frame = see(LAMP + wall(mirror) + behind, 256)

    assert luma(frame.diffuse) > 0
    assert not frame.specular.any()
    assert_allclose(mean(frame.albedo), RHO, rtol=1e-3)
    assert_allclose(mean(frame.normal), [0, 0, -1], atol=1e-4)  # of what the mirror shows
    assert_allclose(frame.depth[CENTRE], 6, rtol=0.1)  # of the mirror itself


# --- Albedo, normals, alpha ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bsdf", "albedo"),
    [
        ('<bsdf type="conductor"><string name="material" value="none"/></bsdf>', 1.0),
        ('<bsdf type="dielectric"/>', 1.0),
        (
            '<bsdf type="conductor"><string name="material" value="none"/>'
            '<rgb name="specular_reflectance" value="0.4"/></bsdf>',
            0.4,
        ),
    ],
    ids=["mirror", "glass", "dark mirror"],
)
def test_mirrors_and_glass_before_the_sky_have_the_albedo_of_what_they_let_through(see, bsdf, albedo) -> None:
    frame = see(SKY + ball(bsdf), 64)
    assert_allclose(mean(frame.albedo), albedo, rtol=0.02)


def test_glass_before_a_wall_has_the_walls_albedo(see) -> None:
    frame = see(SKY + wall(DIFFUSE) + wall('<bsdf type="thindielectric"/>', 0, "pane"), 256)
    reflected = 0.077  # at normal incidence 2R / (1 + R), R = 0.04 for an index of 1.5
    expected = (1 - reflected) * np.array(RHO) + reflected  # the sky by reflection: what the pane lets through is 1
    assert_allclose(mean(frame.albedo), expected, rtol=0.05)


def test_rough_metal_has_the_albedo_of_what_it_reflects(see) -> None:
    gold = '<bsdf type="roughconductor"><string name="material" value="Au"/><float name="alpha" value="0.1"/></bsdf>'
    albedo = mean(see(SKY + ball(gold), 256).albedo)
    assert np.all(albedo <= 1)
    assert albedo[0] > albedo[1] > albedo[2] > 0.2
    assert_allclose(albedo, mean(see(SKY + ball(gold), 256).beauty), rtol=0.05)


def test_plastic_has_the_albedo_of_its_diffuse_lobe(see) -> None:
    frame = see(SKY + ball(PLASTIC.format(1)), 512)
    albedo = mean(frame.albedo)
    assert np.all(albedo <= RHO) and np.all(albedo > np.multiply(RHO, 0.5))
    assert_allclose(mean(frame.diffuse), albedo, rtol=0.15)  # what is demodulated is close to the light, which is 1


def test_the_background_is_black_and_a_lamp_has_the_albedo_of_its_surface(see) -> None:
    frame = see(SKY + ball(f'<emitter type="area"><rgb name="radiance" value="5"/></emitter>{DIFFUSE}'), 16)
    assert_allclose(mean(frame.emission), 5, rtol=1e-5)
    assert_allclose(mean(frame.albedo), RHO, rtol=1e-4)
    assert not frame.albedo[0, 0].any() and not frame.normal[0, 0].any()
    assert frame.depth[0, 0] == 0 and frame.ids[0, 0] == 0


def masked(opacity: float, bsdf: str) -> str:
    return f'<bsdf type="mask"><float name="opacity" value="{opacity}"/><bsdf type="twosided">{bsdf}</bsdf></bsdf>'


def test_a_surface_that_is_half_there_has_half_its_albedo_and_lets_the_rest_through(see) -> None:
    frame = see(SKY + wall(masked(0.5, DIFFUSE), 0), 1024)

    assert_allclose(mean(frame.emission), 0.5, rtol=0.02)
    assert_allclose(mean(frame.diffuse), np.multiply(RHO, 0.5), rtol=0.03)
    assert_allclose(mean(frame.albedo), np.multiply(RHO, 0.5), rtol=0.03)
    assert_allclose(mean(frame.normal), [0, 0, 0.5], atol=0.02)


def test_behind_a_surface_that_is_half_there_the_next_one_is_seen(see) -> None:
    frame = see(SKY + wall(masked(0.5, BLACK), 0, "veil") + wall(DIFFUSE), 1024)
    assert_allclose(mean(frame.albedo), np.multiply(RHO, 0.5), rtol=0.03)
    assert_allclose(frame.depth[CENTRE], 5, rtol=0.05)  # 4 and 6


def test_a_mask_of_nothing_is_not_seen_at_all(see) -> None:
    frame = see(SKY + wall(masked(0, BLACK), 0) + ball(DIFFUSE, "seen"), 64)
    assert_allclose(mean(frame.albedo), RHO, rtol=1e-4)
    assert frame.ids[4, 8] == 2


def test_normals_are_those_of_the_ball_and_face_the_viewer(see) -> None:
    for radius in (1, 50):  # 50: the camera is inside
        sphere = f'<float name="radius" value="{radius}"/><bsdf type="twosided">{DIFFUSE}</bsdf>'
        frame = see(f'{SKY}<shape type="sphere">{sphere}</shape>', 64)
        assert frame.normal[4, 7][2] > 0.9
        assert_allclose(np.linalg.norm(frame.normal[CENTRE], axis=-1), 1, atol=0.02)


def test_alpha_is_one_where_a_surface_or_the_sky_is_seen_and_zero_elsewhere(see) -> None:
    without, with_sky = see(LAMP + ball(DIFFUSE), 16), see(SKY + ball(DIFFUSE), 16)
    assert without.alpha[0, 0] == 0 and without.alpha[4, 8] == 1
    assert_allclose(with_sky.alpha, 1)


# --- Ids ----------------------------------------------------------------------------------------------------------


def test_ids_name_the_shape_that_most_samples_of_a_pixel_met(program_of, shot) -> None:
    left = '<shape type="rectangle" id="left"><transform name="to_world"><scale x="5" y="9"/><translate x="-5.01"/>'
    program = program_of(SKY + wall(DIFFUSE) + f"{left}</transform>{DIFFUSE}</shape>")
    frame = shot(program, 64)
    number = {name: k + 1 for k, name in enumerate(program.fs.shape_names)}

    assert np.all(frame.ids[:, :7] == number["left"])
    assert np.all(frame.ids[:, 8:] == number["wall"])
    assert np.all(frame.ids[:, 7] == number["left"])  # which has 95 % of it


def test_instances_have_ids_of_their_own(program_of, shot) -> None:
    group = f'<shape type="shapegroup" id="group">{ball(DIFFUSE, "inner")}</shape>'
    copies = "".join(
        f'<shape type="instance" id="{name}"><transform name="to_world"><scale value="0.5"/><translate x="{x}"/>'
        '</transform><ref id="group"/></shape>'
        for name, x in (("one", -1), ("two", 1))
    )
    program = program_of(SKY + group + copies)
    frame = shot(program, 16)
    names = ("background", *program.fs.shape_names)

    assert {names[k] for k in np.unique(frame.ids)} == {"background", "one", "two"}
    assert names[frame.ids[4, 3]] == "one" and names[frame.ids[4, 12]] == "two"
