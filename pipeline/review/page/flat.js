// Two pictures on a canvas without WebGL2: pictures as the server shows them, drawn, wiped and subtracted in 8 bits.

export class FlatPainter {
  constructor(canvas) {
    this.context = canvas.getContext("2d");
    this.images = { a: null, b: null };
    this.flat = true;
  }

  setView() {}
  setStrokes() {}

  setImage(place, image, kind, region = [0, 0, 1, 1]) {
    this.images[place] = image?.bitmap ? { bitmap: image.bitmap, region } : null;
  }

  draw(look, viewport) {
    const { context } = this, { canvas } = context, { a, b } = this.images;
    context.globalCompositeOperation = "source-over";
    context.fillStyle = "#18191b";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (a) this.#place(a, viewport);
    if (!b || !look.mode) return true;
    context.save();
    if (look.mode === 2) {
      context.globalCompositeOperation = "difference";
    } else {
      const left = viewport.left + look.wipe * viewport.frame.width * viewport.zoom;
      context.beginPath();
      context.rect(left, 0, canvas.width, canvas.height);
      context.clip();
    }
    this.#place(b, viewport);
    context.restore();
    return true;
  }

  #place({ bitmap, region }, { left, top, zoom, frame }) {
    const width = frame.width * zoom, height = frame.height * zoom;
    this.context.imageSmoothingEnabled = zoom < 1;
    this.context.drawImage(bitmap, left + region[0] * width, top + region[1] * height, region[2] * width, region[3] * height);
  }
}
