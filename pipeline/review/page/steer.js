// λ live: a slider and a brush; one request is on its way at a time, and the newest wish is the next one.

import { NotThere } from "./source.js";

export const LEAST = 1, MOST = 10;
const PROXY = [640, 360];
const QUICK = 150;      // milliseconds in which a picture follows the slider
const RESTS = 250;      // milliseconds after which the slider rests

export const lambdaAt = (place) => LEAST * (MOST / LEAST) ** place;
export const placeOf = (lambda) => Math.log(lambda / LEAST) / Math.log(MOST / LEAST);

export class Steering {
  /**
   * @param source of the pictures
   * @param shown is called with (image, region, milliseconds) when a steered picture is there
   * @param failed is called with what is wrong
   */
  constructor(source, shown, failed) {
    this.source = source;
    this.shown = shown;
    this.failed = failed;
    this.lambda = LEAST;
    this.brush = { lambda: lambdaAt(0.7), size: 20 };
    this.region = null;
    this.strokes = null;
    this.wanted = null;
    this.busy = false;
    this.coarser = 1;
    this.resting = null;
    this.seen = new Set();    // kinds of pictures that are prepared
  }

  /** A painted map for frames of this size; what was painted before is dropped. */
  setFrame(width, height) {
    const step = Math.max(1, Math.ceil(width / PROXY[0]), Math.ceil(height / PROXY[1]));
    const map = { width: Math.max(1, Math.floor(width / step)), height: Math.max(1, Math.floor(height / step)), step };
    if (this.strokes?.width === map.width && this.strokes?.height === map.height) return;
    this.strokes = { ...map, data: new Uint8Array(map.width * map.height), any: false };
  }

  clear() {
    this.strokes?.data.fill(0);
    if (this.strokes) this.strokes.any = false;
  }

  /** Paints a disc around a pixel of the frame, with the brush's λ. */
  paint(x, y) {
    const { width, height, step, data } = this.strokes;
    const radius = this.brush.size / 2 / step, byte = 1 + Math.round(254 * placeOf(this.brush.lambda));
    const cx = x / step, cy = y / step;
    for (let row = Math.max(0, Math.floor(cy - radius)); row <= Math.min(height - 1, cy + radius); row++) {
      for (let column = Math.max(0, Math.floor(cx - radius)); column <= Math.min(width - 1, cx + radius); column++) {
        if ((column - cx) ** 2 + (row - cy) ** 2 <= Math.max(0.5, radius) ** 2) data[row * width + column] = byte;
      }
    }
    this.strokes.any = true;
  }

  /** The middle of what is seen, which is steered pixel by pixel. */
  setRegion(viewport) {
    const { width, height } = viewport.frame, { canvas, left, top, zoom } = viewport;
    const size = [Math.min(PROXY[0], width), Math.min(PROXY[1], height)];
    const middle = [(canvas.width / 2 - left) / zoom, (canvas.height / 2 - top) / zoom];
    const from = [0, 1].map((k) => Math.round(Math.max(0, Math.min([width, height][k] - size[k], middle[k] - size[k] / 2)) / 8) * 8);
    this.region = {
      left: Math.min(from[0], width - size[0]), top: Math.min(from[1], height - size[1]), width: size[0], height: size[1],
    };
  }

  /** Chooses how coarse pictures are while a control moves; the first one of its kind, which prepares, does not count. */
  #learn(job, frame, size, took) {
    const kind = `${job}/${frame}/${JSON.stringify(this.region)}/${size}`;
    if (!this.seen.has(kind)) return void this.seen.add(kind);
    if (size === this.coarser && took > QUICK) this.coarser = Math.min(4, this.coarser * 2);
    else if (took < QUICK / 6) this.coarser = Math.max(1, this.coarser / 2);
  }

  /** What the server is asked to denoise. */
  wish(by = "kpcn", coarser = 1) {
    return { lambda: this.lambda, by, region: this.region, strokes: this.painted(), coarser };
  }

  painted() {
    if (!this.strokes?.any) return null;
    const { width, height, data } = this.strokes;
    let letters = "";
    for (let at = 0; at < data.length; at += 8192) letters += String.fromCharCode(...data.subarray(at, at + 8192));
    return { width, height, data: btoa(letters) };
  }

  /** Asks for pictures while a control moves, as coarse as this machine needs them, and for the whole one after it. */
  move(job, frame) {
    this.ask(job, frame, this.coarser);
    clearTimeout(this.resting);
    this.resting = this.coarser > 1 ? setTimeout(() => this.ask(job, frame), RESTS) : null;
  }

  /** Asks for the picture of a frame as it is steered now. */
  async ask(job, frame, coarser = 1) {
    this.wanted = [job, frame, coarser];
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.wanted) {
        const [wantedJob, wantedFrame, size] = this.wanted, wish = this.wish("kpcn", size);
        this.wanted = null;
        const began = performance.now();
        try {
          const image = await this.source.steered(wantedJob, wantedFrame, wish);
          const took = performance.now() - began;
          this.shown(image, wish.region, took);
          this.#learn(wantedJob, wantedFrame, size, took);
        } catch (error) {
          if (!(error instanceof NotThere) && !(error instanceof TypeError)) throw error;
          this.failed(error.message);
        }
      }
    } finally {
      this.busy = false;
    }
  }
}
