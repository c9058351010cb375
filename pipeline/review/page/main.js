// The page: what is shown, and what its controls and keys do to it.

import { convergence, cost } from "./charts.js";
import { FlatPainter } from "./flat.js";
import { differenceOf, duration, magma, rangeOf, short, valueAt } from "./numbers.js";
import { Painter } from "./painter.js";
import { Sheet } from "./sheet.js";
import { FolderSource, NotThere, ServerSource } from "./source.js";
import { lambdaAt, placeOf, Steering } from "./steer.js";
import { Viewport } from "./viewport.js";

const at = (id) => document.getElementById(id);
const STEERED = "λ as steered", OIDN = "OIDN";
const ENDED = ["done", "failed", "cancelled"];
const HELD_BYTES = 512 * 2 ** 20;
const PLAYED_WIDTH = 960;
// Layers with proxies, as pipeline/images/proxy.py has them.
const PROXIED = {
  beauty: { kind: "colour", channels: ["R", "G", "B", "A"] }, noisy: { kind: "colour", channels: ["noisy.R", "noisy.G", "noisy.B"] },
  error: { kind: "scalar", channels: ["error.Y"] }, samples: { kind: "scalar", channels: ["samples.Y"] },
};

const source = opened();
const canvas = at("picture");
const painter = paintable();
const viewport = new Viewport(canvas, () => draw());
const sheet = new Sheet(at("sheet"), source, (frame) => { showSheet(false); go(frame); });
const steering = new Steering(source, steered, (told) => { at("steered").textContent = told; });

const look = { mode: 0, wipe: 0.5, exposure: 0, channel: 0, scaleA: [0, 1], scaleB: [0, 1] };
const held = new Map();         // images by key, those that were used last at the end
const known = new Map();        // sights (layers of a frame) by job, frame and picture
const sides = { a: side(), b: side() };
let page = null, frame = null, views = null, turn = 0, playing = null, painting = false;
let asking = new AbortController(); // what is asked for the picture that is wanted now

function side() { return { job: null, name: null, image: null, layer: null, sight: null, region: null, wholeSince: 0 }; }

function opened() {
  if (document.querySelector('meta[name="review-source"][content="folder"]')) return new FolderSource("");
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("token")) {
    sessionStorage.setItem("token", asked.get("token"));
    asked.delete("token");
    history.replaceState(null, "", `#${asked}`);
  }
  return new ServerSource(asked.get("job") ?? "", sessionStorage.getItem("token"));
}

function paintable() {
  try {
    if (new URLSearchParams(location.search).has("flat")) return new FlatPainter(canvas);
    return new Painter(canvas);
  } catch {
    return new FlatPainter(canvas);
  }
}

// --- the job ----------------------------------------------------------------------------------------------------

async function refresh(asked = source.document(source.job)) {
  const next = await asked;
  const before = page?.frames.find((each) => each.frame === frame);
  page = next;
  document.title = `${page.job} · review`;
  at("title").textContent = page.job;
  at("state").textContent = page.state;
  at("state").dataset.state = page.state;
  at("progress").value = page.fraction;
  at("remaining").textContent = page.seconds_left === null ? "" : `${duration(page.seconds_left)} left`;
  at("pause").textContent = { paused: "Resume", cancelled: "Resume", review: "Approve" }[page.state] ?? "Pause";
  at("retry").disabled = !page.failures.length;
  if (document.activeElement !== at("priority")) at("priority").value = page.priority;
  at("failing").hidden = !page.failures.length;
  at("failures").replaceChildren(...page.failures.map((task) => Object.assign(document.createElement("li"), { textContent: task })));
  options(at("version-a"), page.versions, sides.a.job ?? page.job);
  options(at("version-b"), page.versions, sides.b.job ?? page.job);
  sides.a.job ??= page.job;
  sides.b.job ??= page.job;
  at("scrubber").max = Math.max(0, page.frames.length - 1);
  drawStrip();
  sheet.update(page, frame);
  if (frame === null && page.frames.length) {
    const first = page.frames.find((each) => each.picture) ?? page.frames[0];
    await go(first.frame);
  } else {
    tell();
    const now = page.frames.find((each) => each.frame === frame);
    if ((now && before && now.picture !== before.picture) || await othersChanged()) await show();
  }
}

/** Whether a side shows another version, of which this frame has another picture by now. */
async function othersChanged() {
  for (const { job, sight, image } of wantsB() ? [sides.a, sides.b] : [sides.a]) {
    if (job === page.job) continue;
    try {
      if ((await source.layers(job, frame)).picture !== sight?.picture || !image) return true;
    } catch (error) {
      if (!(error instanceof NotThere)) throw error;
    }
  }
  return false;
}

async function follow() {
  for (;;) {
    const quiet = ENDED.includes(page?.state) && [sides.a, sides.b].every(({ job }) => job === page.job);
    await new Promise((resolve) => setTimeout(resolve, quiet ? 10000 : 1500));
    try {
      await refresh();
    } catch (error) {
      if (!(error instanceof NotThere) && !(error instanceof TypeError)) throw error;
      at("state").textContent = "no answer";
    }
  }
}

function options(select, names, chosen) {
  if (names.join("\n") !== select.dataset.names) {
    select.dataset.names = names.join("\n");
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  if (names.includes(chosen)) select.value = chosen;
}

const current = () => page.frames.find((each) => each.frame === frame);

function tell() {
  const now = current();
  if (!now) return;
  at("scrubber").value = page.frames.indexOf(now);
  at("scrubber").setAttribute("aria-valuetext", `frame ${frame}`);
  at("frame").textContent = `${frame}   ${page.frames.indexOf(now) + 1}/${page.frames.length}`;
  const facts = [
    ["State", now.degraded ? `${now.state}, without a neighbour` : now.state],
    ["Samples per pixel", short(now.spp)],
    [`Predicted ${page.metric}`, now.error === null ? "–" : `${short(now.error)}, 99 %: ${short(now.error_p99)}`],
    ["Target", short(page.target_error)],
    ["Stopped by", now.reason ?? "–"],
    ["Rendering", duration(now.seconds)],
    ["Denoising", duration(now.denoise_seconds)],
    ["λ of this version", page.lambda_map ? `${short(page.lambda)}, and a map` : short(page.lambda)],
  ];
  if (now.problem) facts.push(["Wrong", now.problem]);
  at("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const told = Object.assign(document.createElement("dd"), { textContent: value });
    told.classList.toggle("wrong", name === "Wrong");
    return [Object.assign(document.createElement("dt"), { textContent: name }), told];
  }));
  convergence(at("convergence"), page, frame);
  cost(at("cost"), page, frame, go);
}

function drawStrip() {
  const strip = at("strip"), pen = strip.getContext("2d");
  const colours = { done: "#7fd6a4", absent: "#ff8f7a", parked: "#ff8f7a", waiting: "#3a3d44" };
  strip.width = Math.max(1, page.frames.length);
  page.frames.forEach((each, index) => {
    pen.fillStyle = each.problem ? colours.absent : colours[each.state] ?? "#ffc247";
    pen.fillRect(index, 0, 1, 1);
  });
}

// --- pictures ---------------------------------------------------------------------------------------------------

async function go(wanted) {
  frame = wanted;
  tell();
  sheet.update(page, frame);
  await show();
}

/** Shows the frame that is chosen, as far as it is there: its proxy at once, then the layer itself. */
async function show() {
  if (frame === null) return; // the page's settings may be read before the job is known, which shows its frame itself
  const mine = ++turn;
  const stale = () => mine !== turn;
  asking.abort();
  asking = new AbortController();
  try {
    await Promise.all([fetchSide("a", stale), wantsB() ? fetchSide("b", stale) : null]);
  } catch (error) {
    if (error.name === "AbortError" || stale()) return;
    if (!(error instanceof NotThere) && !(error instanceof TypeError)) throw error;
    if (sides.a.image?.frame !== frame) {
      painter.setImage("a", null);
      sides.a.image = null;
    }
    notice(current()?.problem || error.message);
    draw();
  }
}

const wantsB = () => look.mode > 0 || steering.region !== null;

async function fetchSide(place, stale) {
  const mine = sides[place], { job } = mine, now = current(), { signal } = asking;
  const picture = job === page.job ? now.picture : "";
  const sightKey = `${job}/${frame}/${picture}`;
  if (playing && await fetchProxy(place, sightKey, stale)) return void notice(now.problem);
  const [sight] = await Promise.all([
    known.get(sightKey) ?? source.layers(job, frame), playing ? null : fetchProxy(place, sightKey, stale),
  ]);
  if (picture) known.set(sightKey, sight);
  if (stale()) return;
  mine.sight = sight;
  fillLayers(place);
  if (!sides.b.sight) {
    sides.b.sight = sight;
    fillLayers("b");
  }
  viewport.setFrame(sight.layers[0].width, sight.layers[0].height);
  steering.setFrame(sight.layers[0].width, sight.layers[0].height);
  if (mine.name === STEERED) return void steering.ask(job, frame);
  const layer = layerOf(sight, mine.name), step = playing ? Math.max(1, Math.floor(layer.width / PLAYED_WIDTH)) : 1;
  const image = mine.name === OIDN
    ? await source.steered(job, frame, steering.wish("oidn"))
    : await heldOr(imageKey(`${job}/${frame}/${sight.picture}`, layer, step), () => fetchImage(job, layer, step, signal));
  if (stale()) return;
  put(place, image, mine.name === OIDN ? { ...layer, kind: "colour", name: OIDN } : layer, mine.name === OIDN ? steering.region : image.region);
  notice(now.problem);
}

const layerOf = (sight, name) => sight.layers.find((each) => each.name === name) ?? sight.layers[0];
const viewKey = (layer) => painter.flat && layer ? `${at("display").value}/${at("view").value}/${look.exposure}` : "";
const imageKey = (sightKey, layer, step) => `${sightKey}/${layer.index}/${step}/${viewKey(layer)}`;

async function fetchImage(job, layer, step, signal) {
  if (!painter.flat) return source.pixels(job, frame, layer, step, signal);
  const bitmap = await source.shown(job, frame, layer, {
    exposure: look.exposure, display: at("display").value, view: at("view").value, step,
  });
  return { bitmap, width: bitmap.width, height: bitmap.height };
}

/**
 * Before the layer itself is there: its proxy, which was made with the frame. A shot that is played shows nothing else.
 * @returns whether there is one
 */
async function fetchProxy(place, sightKey, stale) {
  const mine = sides[place], { job } = mine, name = mine.name ?? "beauty", sight = known.get(sightKey);
  if (painter.flat || !Object.hasOwn(PROXIED, name) || (job === page.job && current().state !== "done")) return false;
  if (!playing && sight && held.has(imageKey(sightKey, layerOf(sight, name), 1))) return false;
  try {
    const image = await heldOr(`${sightKey}/proxy/${name}`, () => source.proxy(job, frame, name));
    if (stale() || mine.wholeSince === turn) return true;
    const { width, height } = image.full;
    viewport.setFrame(width, height);
    put(place, image, { name, width, height, ...PROXIED[name] }, image.region, "preview");
    return true;
  } catch (error) {
    if (!(error instanceof NotThere) && !(error instanceof TypeError)) throw error;
    return false; // of frames that were made elsewhere: the layer itself is on its way
  }
}

function put(place, image, layer, region, what = place === "a" ? "picture" : "other") {
  const mine = sides[place], { width, height } = viewport.frame;
  Object.assign(mine, { image, layer, region });
  if (what !== "preview") mine.wholeSince = turn;
  if (mine.image) mine.image.frame = frame;
  painter.setImage(place, image, layer.kind, region
    ? [region.left / width, region.top / height, region.width / width, region.height / height] : [0, 0, 1, 1]);
  look[place === "a" ? "scaleA" : "scaleB"] = layer.kind === "vector" ? [-1, 1]
    : layer.kind === "scalar" && !image.bitmap ? rangeOf(image) : [0, 1];
  mark(what);
}

const marks = [];

/** Draws, and leaves a trace for whoever measures: what is on the screen, and since when. */
function mark(what) {
  marks.push(what);
  draw();
}

function traced() {
  for (const what of marks.splice(0)) {
    performance.mark(`review-${what}`);
    canvas.dataset.shown = `${what} ${frame} ${sides.a.layer?.name ?? ""}`;
  }
}

async function heldOr(key, make) {
  if (held.has(key)) {
    const image = held.get(key);
    held.delete(key);
    held.set(key, image);
    return image;
  }
  const image = await make();
  held.set(key, image);
  let bytes = 0;
  for (const each of held.values()) bytes += each.data?.byteLength ?? each.width * each.height * 4;
  for (const [oldest, each] of held) {
    if (bytes <= HELD_BYTES || oldest === key) break;
    bytes -= each.data?.byteLength ?? each.width * each.height * 4;
    held.delete(oldest);
  }
  return image;
}

function fillLayers(place) {
  const mine = sides[place], select = at(`layer-${place}`);
  const names = [...mine.sight.layers.map((layer) => layer.name), ...(source.live ? [STEERED, OIDN] : [])];
  if (!names.includes(mine.name)) {
    mine.name = place === "b" && names.includes("noisy") ? "noisy" : names[0];
  }
  options(select, names, mine.name);
}

function steered(image, region, milliseconds) {
  at("steered").textContent = `${image.width}×${image.height}, ${Math.round(milliseconds)} ms`;
  for (const place of ["a", "b"]) {
    if (sides[place].name !== STEERED) continue;
    put(place, image, { name: STEERED, kind: "colour", channels: ["R", "G", "B"] }, region);
  }
  mark("steered");
}

// --- drawing ----------------------------------------------------------------------------------------------------

let due = false;
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const { a, b } = sides;
    if (look.mode === 2 && a.image?.data && a.image.width === b.image?.width) look.scaleA = differenceOf(a.image, b.image);
    if (painter.draw(look, viewport)) traced();
    const wipes = look.mode === 1 && b.image;
    at("wipe").hidden = !wipes;
    if (wipes) {
      at("wipe").style.left = `${viewport.across(look.wipe)}px`;
      at("wipe").setAttribute("aria-valuenow", String(Math.round(look.wipe * 100)));
    }
    at("label-a").textContent = label(a);
    at("label-b").textContent = label(b);
    at("label-b").hidden = look.mode === 0;
    drawLegend();
    canvas.setAttribute("aria-label", `Frame ${frame}: ${label(a)}`);
  });
}

/** What a side shows, and at which size where that is not the layer's own. */
function label({ job, layer, image }) {
  if (!layer) return "";
  const smaller = image && image.width < layer.width ? ` · ${image.width}×${image.height}` : "";
  return `${job?.split(".").at(-1) ?? ""} ${layer.name}${smaller}`;
}

function drawLegend() {
  const { a } = sides, shown = !painter.flat && (look.mode === 2 || a.layer?.kind === "scalar");
  at("legend").hidden = !shown;
  if (!shown) return;
  const bar = at("legend").querySelector("canvas"), pen = bar.getContext("2d");
  for (let x = 0; x < 256; x++) {
    pen.fillStyle = `rgb(${magma(x / 255).join(" ")})`;
    pen.fillRect(x, 0, 1, 1);
  }
  const [low, high] = look.scaleA;
  [low, (low + high) / 2, high].forEach((value, index) => {
    at("legend").querySelectorAll("span")[index].textContent = short(value);
  });
}

function notice(text) {
  at("notice").textContent = text ?? "";
  at("notice").hidden = !text;
}

function inspect(event) {
  const { x, y, inside } = viewport.under(event.clientX, event.clientY);
  const lines = [];
  for (const place of look.mode ? ["a", "b"] : ["a"]) {
    const { image, layer, region } = sides[place];
    if (!inside || !image?.data) continue;
    const part = region ?? { left: 0, top: 0, width: viewport.frame.width, height: viewport.frame.height };
    const column = Math.floor((x - part.left) / part.width * image.width), row = Math.floor((y - part.top) / part.height * image.height);
    if (column < 0 || row < 0 || column >= image.width || row >= image.height) continue;
    const first = (row * image.width + column) * image.channels;
    const values = layer.channels.slice(0, image.channels).map((name, k) => `${name.slice(-12)} ${short(valueAt(image, first + k))}`);
    lines.push(`${layer.name.slice(0, 24)}: ${values.join("  ")}`);
  }
  at("pixel").textContent = inside ? [`${Math.floor(x)}, ${Math.floor(y)}`, ...lines].join("\n") : "";
}

// --- controls ---------------------------------------------------------------------------------------------------

function setExposure(stops) {
  look.exposure = Math.min(8, Math.max(-8, stops));
  at("exposure").value = look.exposure;
  at("stops").textContent = look.exposure > 0 ? `+${look.exposure}` : String(look.exposure);
  if (painter.flat) show();
  else draw();
}

function setMode(mode) {
  look.mode = mode;
  for (const each of [0, 1, 2]) at(`compare-${each}`).setAttribute("aria-pressed", String(each === mode));
  restoreScale();
  if (mode && !sides.b.image) show();
  draw();
}

function restoreScale() {
  const { layer, image } = sides.a;
  if (layer) look.scaleA = layer.kind === "vector" ? [-1, 1] : layer.kind === "scalar" && image.data ? rangeOf(image) : [0, 1];
}

function setChannel(channel) {
  look.channel = channel;
  at("channel").value = String(channel);
  draw();
}

async function setView(space = page.space) {
  const display = at("display").value;
  options(at("view"), views.displays[display], at("view").value);
  const view = at("view").value;
  if (!painter.flat) {
    const program = await source.program(display, view, space);
    if (at("display").value !== display || at("view").value !== view) return; // another was chosen meanwhile
    painter.setView(program, display);
  }
  if (painter.flat) show();
  else draw();
  at("picture").dataset.view = `${display}/${view}`;
}

function choose(place, name) {
  sides[place].name = name;
  sides[place].image = null;
  if (place === "b" && look.mode === 0) setMode(1);
  else show();
}

function change() {
  const { a, b } = sides;
  [sides.a, sides.b] = [b, a];
  for (const place of ["a", "b"]) at(`version-${place}`).value = sides[place].job;
  show();
}

function step(by) {
  const index = page.frames.findIndex((each) => each.frame === frame) + by;
  if (page.frames[index]) return go(page.frames[index].frame);
  return Promise.resolve();
}

function play(on) {
  if (!on === !playing) return;
  at("play").setAttribute("aria-pressed", String(on));
  at("play").textContent = on ? "Stop" : "Play";
  if (!on) {
    playing = null;
    show();
    return;
  }
  const mine = (playing = {});
  (async () => {
    while (playing === mine) {
      const began = performance.now();
      const shown = page.frames.filter((each) => each.picture && !each.problem);
      if (!shown.length) break;
      const next = shown.find((each) => each.frame > frame) ?? shown[0];
      await go(next.frame);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 / page.fps - (performance.now() - began))));
    }
    if (playing === mine) play(false);
  })();
}

function showSheet(on) {
  at("sheet").hidden = !on;
  at("stage").hidden = on;
  at("to-sheet").setAttribute("aria-pressed", String(on));
}

async function act(made) {
  try {
    const { told } = await made();
    at("steered").textContent = told;
    await refresh();
  } catch (error) {
    if (!(error instanceof NotThere)) throw error;
    at("steered").textContent = error.message;
    notice(error.message);
  }
}

function askSteered() {
  if (sides.a.name !== STEERED && sides.b.name !== STEERED) sides.a.name = STEERED;
  at("layer-a").value = sides.a.name;
  if (steering.region && !sides.b.image) show();
  else steering.move(sides.a.job, frame);
}

const drag = (target, moved, ended) => {
  target.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    target.setPointerCapture(event.pointerId);
    moved(event, true);
    const move = (each) => moved(each, false);
    const end = () => {
      target.removeEventListener("pointermove", move);
      ended?.();
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("lostpointercapture", end, { once: true });
  });
};

function listen() {
  const on = (id, what, does) => at(id).addEventListener(what, does);
  on("exposure", "input", () => setExposure(Number(at("exposure").value)));
  on("channel", "change", () => setChannel(Number(at("channel").value)));
  on("display", "change", () => setView());
  on("view", "change", () => setView());
  for (const mode of [0, 1, 2]) on(`compare-${mode}`, "click", () => setMode(mode));
  for (const place of ["a", "b"]) {
    on(`layer-${place}`, "change", () => choose(place, at(`layer-${place}`).value));
    on(`version-${place}`, "change", () => {
      sides[place].job = at(`version-${place}`).value;
      choose(place, sides[place].name);
    });
  }
  on("scrubber", "input", () => go(page.frames[Number(at("scrubber").value)].frame));
  on("play", "click", () => play(!playing));
  on("to-sheet", "click", () => showSheet(at("sheet").hidden));
  on("to-help", "click", () => at("help").showModal());
  on("pause", "click", () => act(() => source.control(page.job, at("pause").textContent.toLowerCase())));
  on("retry", "click", () => act(() => source.control(page.job, "retry")));
  on("priority", "change", () => act(() => source.priority(page.job, Number(at("priority").value))));
  on("lambda", "input", () => {
    steering.lambda = lambdaAt(Number(at("lambda").value));
    at("lambda-value").textContent = steering.lambda.toFixed(2);
    askSteered();
  });
  on("one-to-one", "change", () => {
    if (at("one-to-one").checked) steering.setRegion(viewport);
    else steering.region = null;
    askSteered();
  });
  on("brush", "change", () => {
    at("brushing").hidden = !at("brush").checked;
    painter.setStrokes(at("brush").checked ? steering.strokes : null);
    draw();
  });
  on("brush-lambda", "input", setBrush);
  on("brush-size", "input", setBrush);
  on("clear", "click", () => {
    steering.clear();
    painter.setStrokes(steering.strokes);
    askSteered();
  });
  const taken = (render) => ({ lambda: Number(steering.lambda.toFixed(4)), strokes: steering.painted(), write: true, render });
  on("take", "click", () => act(() => source.take(page.job, taken(false))));
  on("full", "click", () => act(() => source.take(page.job, taken(true))));
  canvas.addEventListener("pointermove", inspect);
  canvas.addEventListener("pointerleave", () => { at("pixel").textContent = ""; });
  let last = null;
  drag(canvas, (event, first) => {
    painting = at("brush").checked && !event.shiftKey;
    if (painting) {
      const { x, y } = viewport.under(event.clientX, event.clientY);
      steering.paint(x, y);
      painter.setStrokes(steering.strokes);
      draw();
    } else if (!first) {
      viewport.move(event.clientX - last[0], event.clientY - last[1]);
    }
    last = [event.clientX, event.clientY];
  }, () => { if (painting) askSteered(); });
  const wipeTo = (event) => {
    look.wipe = Math.min(1, Math.max(0, viewport.under(event.clientX, event.clientY).x / viewport.frame.width));
    draw();
  };
  drag(at("wipe"), wipeTo);
  on("wipe", "keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (!by) return;
    look.wipe = Math.min(1, Math.max(0, look.wipe + by));
    event.stopPropagation();
    draw();
  });
  document.addEventListener("keydown", pressed);
}

function setBrush() {
  steering.brush = { lambda: lambdaAt(Number(at("brush-lambda").value)), size: Number(at("brush-size").value) };
  at("brush-value").textContent = steering.brush.lambda.toFixed(2);
  at("brush-pixels").textContent = steering.brush.size;
}

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": () => play(!playing),
  g: () => showSheet(at("sheet").hidden), w: () => setMode(look.mode === 1 ? 0 : 1), d: () => setMode(look.mode === 2 ? 0 : 2),
  x: change, f: () => viewport.fit(), 1: () => viewport.oneToOne(), "?": () => at("help").showModal(),
  "[": () => setExposure(look.exposure - 0.25), "]": () => setExposure(look.exposure + 0.25), 0: () => setExposure(0),
  C: () => setChannel(0), R: () => setChannel(1), G: () => setChannel(2), B: () => setChannel(3), A: () => setChannel(4), L: () => setChannel(5),
};

function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || at("help").open) return;
  if (event.target.matches("input, select") || (event.key === " " && event.target.matches("button"))) return;
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

async function begin() {
  listen();
  setBrush();
  if (!source.live) for (const id of ["control", "steering"]) at(id).hidden = true;
  try {
    const [all, first] = await Promise.all([source.views(), source.document(source.job)]);
    views = all;
    options(at("display"), Object.keys(views.displays), views.display);
    options(at("view"), views.displays[views.display], views.view);
    await Promise.all([setView(first.space), refresh(first)]);
    steering.lambda = page.lambda;
    at("lambda").value = placeOf(page.lambda);
    at("lambda-value").textContent = page.lambda.toFixed(2);
  } catch (error) {
    notice(error.message);
    if (!(error instanceof NotThere)) throw error;
    return;
  }
  if (source.live) follow();
}

begin();
