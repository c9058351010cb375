"""The BSDF `captured`: a material of four maps, shaded exactly as `pipeline.capture.shading` does.

    diffuse, specular    albedos, linear Rec. 709
    roughness            α of GGX is its square
    normal               a unit vector, not packed into [0, 1]: x to the right in the picture, y up, z outwards
    to_uv                where the maps are placed by it (each of them alike): the same transform, so that normals turn

Bitmaps must be `raw`. A bitmap's first row lies at v = 0. Meshes whose texture coordinates Mitsuba flips when it loads
them show the picture upright, others, such as `rectangle`, upside down; normals follow the picture either way.

Both sides are alike. f is that of `pipeline.capture.shading`, with the cosines of the shading normal; directions are
sampled from the visible normals (Heitz 2018) or by the cosine, in proportion to what the two lobes may reflect.

Needs Mitsuba with a variant set; importing registers the plugin with that variant.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pipeline.scene.captured_asset import PLUGIN

__all__ = ["Captured"]


class Captured(mi.BSDF):
    """The plugin."""

    def __init__(self, props: mi.Properties) -> None:
        mi.BSDF.__init__(self, props)
        self.diffuse, self.specular = props["diffuse"], props["specular"]
        self.roughness, self.normal = props["roughness"], props["normal"]
        self.right, self.up = _axes(props["to_uv"]) if "to_uv" in props else ((1.0, 0.0), (0.0, -1.0))
        both = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        varying = both | mi.BSDFFlags.SpatiallyVarying
        self.m_components = [mi.BSDFFlags.GlossyReflection | varying, mi.BSDFFlags.DiffuseReflection | varying]
        self.m_flags = self.m_components[0] | self.m_components[1]

    def traverse(self, callback: Any) -> None:
        """Makes the maps known as parameters."""
        for name in ("diffuse", "specular", "roughness", "normal"):
            callback.put(name, getattr(self, name), mi.ParamFlags.Differentiable)

    def sample(self, ctx: Any, si: Any, sample1: Any, sample2: Any, active: Any = True) -> Any:
        """A direction, and f · cosθ / pdf."""
        glossy, matt = self._lobes(ctx)
        bs = dr.zeros(mi.BSDFSample3f)
        if not (glossy or matt):
            return bs, mi.Color3f(0)
        wi, frame, side, alpha = self._local(si, active)
        active = active & (wi.z > 0)
        share = self._share(si, glossy, matt, active)
        shiny = active & (sample1 < share)
        lobe = mi.MicrofacetDistribution(mi.MicrofacetType.GGX, alpha, True)
        m, _ = lobe.sample(wi, sample2)
        local = dr.select(shiny, mi.reflect(wi, m), mi.warp.square_to_cosine_hemisphere(sample2))
        wo = frame.to_world(local)
        bs.wo = mi.Vector3f(wo.x, wo.y, wo.z * side)
        bs.eta = 1.0
        bs.sampled_component = dr.select(shiny, mi.UInt32(0), mi.UInt32(1))
        bs.sampled_type = dr.select(
            shiny, mi.UInt32(+mi.BSDFFlags.GlossyReflection), mi.UInt32(+mi.BSDFFlags.DiffuseReflection)
        )
        value, bs.pdf = self.eval_pdf(ctx, si, bs.wo, active)
        active = active & (bs.pdf > 0)
        return bs, dr.select(active, value / bs.pdf, 0) & active

    def eval(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """f · cosθ."""
        return self.eval_pdf(ctx, si, wo, active)[0]

    def pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Density of `sample`, per solid angle."""
        return self.eval_pdf(ctx, si, wo, active)[1]

    def eval_pdf(self, ctx: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Both."""
        glossy, matt = self._lobes(ctx)
        wi, frame, side, alpha = self._local(si, active)
        above = wo.z * side > 0
        wo = frame.to_local(mi.Vector3f(wo.x, wo.y, wo.z * side))
        active = active & above & (wi.z > 0) & (wo.z > 0)
        h = dr.normalize(wi + wo)
        a2 = alpha * alpha
        sin2 = h.x * h.x + h.y * h.y
        d = a2 / (dr.pi * dr.square(sin2 + a2 * (1 - sin2)))
        rho_d, rho_s = self.diffuse.eval(si, active), self.specular.eval(si, active)
        value = mi.Color3f(0)
        if glossy:
            fresnel = rho_s + (1 - rho_s) * _schlick(dr.dot(h, wi))
            value += fresnel * d / (_smith(wi.z, a2) * _smith(wo.z, a2))
        if matt:
            value += rho_d * (1 - rho_s) * (1 - _schlick(wi.z)) * (1 - _schlick(wo.z)) * dr.inv_pi
        share = self._share(si, glossy, matt, active)
        # visible normals: D G1(wi) / (4 cosθi) = D / (2 (cosθi + g))
        density = share * d / (2 * _smith(wi.z, a2)) + (1 - share) * wo.z * dr.inv_pi
        return dr.select(active, value * wo.z, 0), dr.select(active, density, 0)

    def eval_diffuse_reflectance(self, si: Any, active: Any = True) -> Any:
        """The diffuse albedo that is seen at normal incidence."""
        return self.diffuse.eval(si, active) * (1 - self.specular.eval(si, active))

    def has_attribute(self, name: str, active: Any = True) -> bool:
        """None."""
        return False

    def to_string(self) -> str:
        """For messages."""
        return f"Captured[{self.diffuse}, {self.specular}, {self.roughness}, {self.normal}]"

    def _lobes(self, ctx: Any) -> tuple[bool, bool]:
        return (
            ctx.is_enabled(mi.BSDFFlags.GlossyReflection, 0),
            ctx.is_enabled(mi.BSDFFlags.DiffuseReflection, 1),
        )

    def _local(self, si: Any, active: Any) -> tuple[Any, Any, Any, Any]:
        """Incident direction in the frame of the map's normal, the frame, the side (±1), α."""
        side = dr.select(si.wi.z < 0, mi.Float(-1), mi.Float(1))
        frame = mi.Frame3f(self._shading_normal(si, active))
        wi = frame.to_local(mi.Vector3f(si.wi.x, si.wi.y, si.wi.z * side))
        return wi, frame, side, dr.square(self.roughness.eval_1(si, active))

    def _shading_normal(self, si: Any, active: Any) -> Any:
        """The map's normal in the shading frame (s, t, n): s is along u, and t along v or against it."""
        n = mi.Vector3f(self.normal.eval_3(si, active))
        v_up = dr.select(dr.dot(dr.cross(si.dp_du, si.dp_dv), si.sh_frame.n) > 0, mi.Float(1), mi.Float(-1))
        along_u = n.x * self.right[0] + n.y * self.up[0]
        along_v = n.x * self.right[1] + n.y * self.up[1]
        return dr.normalize(mi.Normal3f(along_u, v_up * along_v, n.z))

    def _share(self, si: Any, glossy: bool, matt: bool, active: Any) -> Any:
        """Of the samples that go to the glossy lobe."""
        if not (glossy and matt):
            return mi.Float(1.0 if glossy else 0.0)
        specular = mi.luminance(self.specular.eval(si, active))
        diffuse = mi.luminance(self.diffuse.eval(si, active)) * (1 - specular)
        return dr.clip((specular + 0.05) / (specular + 0.05 + diffuse), 0.1, 0.95)


def _axes(to_uv: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Unit vectors, in the shape's own (u, v), to the right and up in a picture that is placed by `to_uv`."""
    linear = np.array(to_uv.matrix, dtype=np.float64).reshape(-1, 4 if np.size(to_uv.matrix) == 16 else 3)[:2, :2]
    axes = np.linalg.inv(linear) @ np.array([[1.0, 0.0], [0.0, -1.0]])
    axes /= np.linalg.norm(axes, axis=0)
    return (float(axes[0, 0]), float(axes[1, 0])), (float(axes[0, 1]), float(axes[1, 1]))


def _smith(cos: Any, a2: Any) -> Any:
    return cos + dr.sqrt(a2 + (1 - a2) * cos * cos)


def _schlick(cos: Any) -> Any:
    low = dr.maximum(1 - cos, 0)
    return dr.square(dr.square(low)) * low


mi.register_bsdf(PLUGIN, Captured)
