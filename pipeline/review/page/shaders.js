// The programs that put pictures on the screen. The view transform is OpenColorIO's own text: `vec4 OCIOMain(vec4)`.

import { MAGMA } from "./numbers.js";

export const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(corner * 4.0 - 1.0, 0.0, 1.0);
}`;

const vec3 = (row) => `vec3(${row.map((value) => value.toFixed(12)).join(", ")})`;
const scale = MAGMA.slice(0, -1).reduceRight((sum, row) => `(${sum}) * t + ${vec3(row)}`, vec3(MAGMA.at(-1)));

/** The fragment program with a view transform. */
export function fragment(ocio) {
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D uA, uB, uStrokes;
uniform vec2 uSizeA, uSizeB;        // pixels of the two pictures
uniform vec4 uRegionA, uRegionB;    // left, top, width, height of the frame that each shows, 0 … 1
uniform vec2 uScaleA, uScaleB;      // values of the darkest and the brightest colour
uniform vec2 uFrame;                // pixels of the frame
uniform vec4 uView;                 // left and top of the frame on the screen, screen pixels per pixel, height of the screen
uniform float uWipe, uExposure;
uniform int uMode;                  // −1 A, and there is no B; 0 A, 1 wipe, 2 difference
uniform int uKindA, uKindB;         // 0 colour, 1 scalar, 2 vector, 3 as a display shows it
uniform int uChannel;               // 0 colour, 1 R, 2 G, 3 B, 4 A, 5 luminance
uniform bool uBrush;
out vec4 shown;

${ocio}

vec3 heat(float value, vec2 range) {
  float t = clamp((value - range.x) / (range.y - range.x), 0.0, 1.0);
  return clamp(${scale}, 0.0, 1.0);
}

bool shows(vec4 region, vec2 place) {
  vec2 at = (place - region.xy) / region.zw;
  return all(greaterThanEqual(at, vec2(0.0))) && all(lessThan(at, vec2(1.0)));
}

vec4 pixel(sampler2D image, vec2 size, vec4 region, vec2 place) {
  vec2 at = (place - region.xy) / region.zw;
  if (uView.z >= 1.0) return texelFetch(image, ivec2(clamp(at * size, vec2(0.0), size - 1.0)), 0);
  return texture(image, at);
}

vec3 display(vec4 v, int kind, vec2 range) {
  if (any(isnan(v.rgb))) return vec3(0.0, 1.0, 1.0);
  if (kind == 3) return v.rgb;
  if (kind == 1) return heat(v.r, range);
  if (kind == 2) return clamp((v.rgb - range.x) / (range.y - range.x), 0.0, 1.0);
  if (uChannel == 4) return vec3(v.a);
  if (uChannel == 5) v.rgb = vec3(dot(v.rgb, vec3(0.2126, 0.7152, 0.0722)));
  else if (uChannel > 0) v.rgb = vec3(v[uChannel - 1]);
  return OCIOMain(vec4(v.rgb * exp2(uExposure), 1.0)).rgb;
}

void main() {
  vec2 at = vec2(gl_FragCoord.x, uView.w - gl_FragCoord.y);
  vec2 place = (at - uView.xy) / uView.z / uFrame;   // 0 … 1 over the frame
  if (any(lessThan(place, vec2(0.0))) || any(greaterThanEqual(place, vec2(1.0)))) {
    shown = vec4(vec3(0.094, 0.098, 0.106), 1.0);
    return;
  }
  bool hasA = shows(uRegionA, place), hasB = uMode >= 0 && shows(uRegionB, place);
  vec3 colour;
  if (uMode == 2 && hasA && hasB) {
    vec3 apart = abs(pixel(uA, uSizeA, uRegionA, place).rgb - pixel(uB, uSizeB, uRegionB, place).rgb);
    colour = heat(max(apart.r, max(apart.g, apart.b)), uScaleA);
  } else if (hasB && (!hasA || (uMode == 1 && place.x >= uWipe))) {
    colour = display(pixel(uB, uSizeB, uRegionB, place), uKindB, uScaleB);
  } else if (hasA) {
    colour = display(pixel(uA, uSizeA, uRegionA, place), uKindA, uScaleA);
  } else {
    colour = vec3(0.0);
  }
  if (uBrush) {
    float stroke = texture(uStrokes, place).r;
    if (stroke > 0.0) colour = mix(colour, heat(stroke, vec2(0.0, 1.0)), 0.35);
  }
  shown = vec4(colour, 1.0);
}`;
}
