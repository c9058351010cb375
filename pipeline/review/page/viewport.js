// Where the frame lies on the screen: zoom and place, changed by wheel, drag and keys.

export class Viewport {
  /** @param canvas that is drawn on; @param changed is called when the frame moved. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.frame = { width: 16, height: 9 };
    this.fitted = true;
    this.zoom = 1;
    this.left = this.top = 0;
    this.dragged = null;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.#resized()).observe(canvas);
  }

  setFrame(width, height) {
    if (width === this.frame.width && height === this.frame.height) return;
    this.frame = { width, height };
    this.fit();
  }

  fit() {
    const { width, height } = this.canvas;
    this.fitted = true;
    this.zoom = Math.min(width / this.frame.width, height / this.frame.height);
    this.left = (width - this.frame.width * this.zoom) / 2;
    this.top = (height - this.frame.height * this.zoom) / 2;
    this.changed();
  }

  /** One screen pixel for each pixel, around the middle of what is seen. */
  oneToOne() {
    this.zoomTo(1, this.canvas.width / 2, this.canvas.height / 2);
    this.left = Math.round(this.left);
    this.top = Math.round(this.top);
    this.changed();
  }

  zoomTo(zoom, x, y) {
    const next = Math.min(64, Math.max(0.02, zoom));
    this.left = x - (x - this.left) * next / this.zoom;
    this.top = y - (y - this.top) * next / this.zoom;
    this.zoom = next;
    this.fitted = false;
    this.changed();
  }

  move(dx, dy) {
    this.left += dx * this.#density();
    this.top += dy * this.#density();
    this.fitted = false;
    this.changed();
  }

  /** Pixel of the frame under a place of the page: {x, y, inside}, with fractions. */
  under(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect(), density = this.#density();
    const x = ((clientX - box.left) * density - this.left) / this.zoom;
    const y = ((clientY - box.top) * density - this.top) / this.zoom;
    return { x, y, inside: x >= 0 && y >= 0 && x < this.frame.width && y < this.frame.height };
  }

  /** Place on the canvas, in CSS pixels from its left, of a fraction of the frame's width. */
  across(fraction) {
    return (this.left + fraction * this.frame.width * this.zoom) / this.#density();
  }

  #density() { return this.canvas.width / Math.max(1, this.canvas.clientWidth); }

  #wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect(), density = this.#density();
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015));
    this.zoomTo(this.zoom * factor, (event.clientX - box.left) * density, (event.clientY - box.top) * density);
  }

  #resized() {
    const density = globalThis.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * density));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * density));
    if (this.fitted) this.fit();
    else this.changed();
  }
}
