// Convergence and cost as drawings that scale.

import { duration, short } from "./numbers.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 170, LEFT = 44, BOTTOM = 26, TOP = 8, RIGHT = 8;

function shape(name, attributes, text) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawing(label) {
  return shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
}

function axes(svg, below, beside) {
  const bottom = HEIGHT - BOTTOM;
  svg.append(shape("path", { class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${bottom}H${WIDTH - RIGHT}` }));
  for (const [x, text] of below) svg.append(shape("text", { x, y: bottom + 14, "text-anchor": "middle" }, text));
  for (const [y, text] of beside) svg.append(shape("text", { x: LEFT - 4, y: y + 4, "text-anchor": "end" }, text));
}

/** Predicted error over samples per pixel, both logarithmic; a line for each frame, the target dashed. */
export function convergence(place, { frames, target_error: target, metric }, current) {
  const curves = frames.filter((frame) => frame.curve.length);
  place.replaceChildren();
  if (!curves.length) return void (place.textContent = "No round has ended yet.");
  const points = curves.flatMap((frame) => frame.curve);
  const xs = points.map(([x]) => Math.log(Math.max(x, 1e-3)));
  const ys = points.map(([, y]) => Math.log(Math.max(y, 1e-6)));
  if (target) ys.push(Math.log(target));
  const span = (values) => {
    const low = Math.min(...values), high = Math.max(...values);
    return high - low < 0.1 ? [low - 0.5, high + 0.5] : [low, high];
  };
  const [x0, x1] = span(xs), [y0, y1] = span(ys);
  const right = (x) => LEFT + 6 + (Math.log(Math.max(x, 1e-3)) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT - 12);
  const down = (y) => TOP + 6 + (y1 - Math.log(Math.max(y, 1e-6))) / (y1 - y0) * (HEIGHT - TOP - BOTTOM - 12);
  const svg = drawing(`Predicted ${metric} of ${curves.length} frames over samples per pixel`);
  const counts = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const shownCounts = counts.length > 4 ? [counts[0], counts[counts.length >> 1], counts.at(-1)] : counts;
  axes(svg, shownCounts.map((x) => [right(x), short(x)]), [y0, y1].map((y) => [down(Math.exp(y)), short(Math.exp(y))]));
  if (target) {
    svg.append(shape("path", { class: "target", d: `M${LEFT} ${down(target)}H${WIDTH - RIGHT}` }));
    svg.append(shape("text", { x: WIDTH - RIGHT, y: down(target) - 4, "text-anchor": "end" }, `target ${short(target)}`));
  }
  const ordered = [...curves].sort((a, b) => (a.frame === current) - (b.frame === current));
  for (const { frame, curve } of ordered) {
    const mine = frame === current ? " current" : "";
    const way = curve.map(([x, y], index) => `${index ? "L" : "M"}${right(x).toFixed(1)} ${down(y).toFixed(1)}`).join("");
    const line = shape("path", { class: `curve${mine}`, d: way });
    line.append(shape("title", {}, `frame ${frame}: ${short(curve.at(-1)[1])} at ${short(curve.at(-1)[0])} samples`));
    svg.append(line);
    if (mine || curve.length === 1) {
      for (const [x, y] of curve) svg.append(shape("circle", { class: `curve${mine}`, cx: right(x), cy: down(y), r: 2.5 }));
    }
  }
  place.append(svg);
}

/** Device time of each frame: rendering, and denoising on top of it. A click goes to the frame. */
export function cost(place, { frames }, current, go) {
  const totals = frames.map((frame) => frame.seconds + (frame.denoise_seconds ?? 0));
  const most = Math.max(...totals, 0);
  place.replaceChildren();
  if (!most) return void (place.textContent = "Nothing was rendered yet.");
  const svg = drawing(`Device time of ${frames.length} frames, at most ${duration(most)}`);
  const wide = (WIDTH - LEFT - RIGHT) / frames.length, high = HEIGHT - TOP - BOTTOM, bottom = HEIGHT - BOTTOM;
  axes(svg, [[LEFT + wide / 2 + 6, frames[0].frame], ...(frames.length > 1 ? [[WIDTH - RIGHT - 12, frames.at(-1).frame]] : [])],
    [[TOP + 4, duration(most)], [bottom, "0"]]);
  frames.forEach((frame, index) => {
    const group = shape("g", {}), x = LEFT + index * wide + wide * 0.1;
    const mine = frame.frame === current ? " current" : "";
    let y = bottom;
    for (const [seconds, name] of [[frame.seconds, "bar"], [frame.denoise_seconds ?? 0, "bar denoise"]]) {
      const tall = seconds / most * high;
      y -= tall;
      group.append(shape("rect", { class: name + (name === "bar" ? mine : ""), x, y, width: Math.max(0.5, wide * 0.8), height: tall }));
    }
    group.append(shape("title", {}, `frame ${frame.frame}: ${duration(frame.seconds)} of rendering, ${duration(frame.denoise_seconds)} of denoising`));
    group.addEventListener("click", () => go(frame.frame));
    svg.append(group);
  });
  place.append(svg);
}
