// Where the page's data come from: the server that serves it, or the files of an exported folder.

/** What a source could not give; its message is for people. */
export class NotThere extends Error {}

function image(buffer, type, [height, width, channels]) {
  const data = type === "half" ? new Uint16Array(buffer) : new Float32Array(buffer);
  return { width, height, channels, type, data };
}

/** Asks a server. The token stands in the address behind #, which browsers do not send. */
export class ServerSource {
  constructor(job, token) {
    this.job = job;
    this.live = true;
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  async #ask(path, options = {}) {
    const response = await fetch(path, { ...options, headers: { ...this.headers, ...options.headers } });
    if (response.ok) return response;
    let told = `${response.status} ${response.statusText}`;
    try {
      const { detail } = await response.json();
      if (typeof detail === "string") told = detail;
    } catch { /* not JSON: the status says enough */ }
    throw new NotThere(told);
  }

  #post(path, body) {
    return this.#ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  }

  async document(job) { return (await this.#ask(`/v1/review/${job}`)).json(); }
  async views() { return (await this.#ask("/v1/views")).json(); }
  async program(display, view) {
    return (await this.#ask(`/v1/views/program?${new URLSearchParams({ display, view })}`)).text();
  }
  async layers(job, frame) { return (await this.#ask(`/v1/review/${job}/frames/${frame}/layers`)).json(); }

  async #pixels(response) {
    const shape = response.headers.get("X-Shape").split(",").map(Number);
    return image(await response.arrayBuffer(), response.headers.get("X-Type"), shape);
  }

  async pixels(job, frame, layer, step, signal) {
    const asked = `layer=${layer.index}&step=${step}`;
    return this.#pixels(await this.#ask(`/v1/review/${job}/frames/${frame}/pixels?${asked}`, { signal }));
  }

  async steered(job, frame, wanted) {
    return this.#pixels(await this.#post(`/v1/review/${job}/frames/${frame}/steered`, wanted));
  }

  async shown(job, frame, layer, settings) {
    const asked = new URLSearchParams({ layer: layer.index, ...settings });
    return createImageBitmap(await (await this.#ask(`/v1/review/${job}/frames/${frame}/shown?${asked}`)).blob());
  }

  async preview(job, frame) {
    return createImageBitmap(await (await this.#ask(`/v1/jobs/${job}/frames/${frame}/preview`)).blob());
  }

  async thumbnail(job, frame) {
    return URL.createObjectURL(await (await this.#ask(`/v1/review/${job}/frames/${frame}/thumbnail`)).blob());
  }

  async take(job, wanted) { return (await this.#post(`/v1/review/${job}/lambda`, wanted)).json(); }
  async control(job, action) { return (await this.#post(`/v1/jobs/${job}/${action}`, {})).json(); }
  async priority(job, value) {
    return (await this.#ask(`/v1/jobs/${job}/priority?value=${value}`, { method: "PUT" })).json();
  }
}

/** Reads an exported folder. A page from a folder may not read files, but it may run scripts: data come as those. */
export class FolderSource {
  constructor(job) {
    this.job = job;
    this.live = false;
    this.waiting = new Map();
    globalThis.penumbra = (name, value) => {
      this.waiting.get(name)?.(value);
      this.waiting.delete(name);
    };
  }

  #load(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      this.waiting.set(name, resolve);
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        this.waiting.delete(name);
        reject(new NotThere("it is not in this folder"));
      };
      document.head.append(script);
    });
  }

  async document() { return this.#load("document"); }
  async views() { return (this.known ??= await this.#load("views")); }
  async program(display, view) { return (await this.views()).programs[display][view]; }
  async layers(_, frame) { return this.#load(`${frame}/layers`); }

  async pixels(_, frame, layer) {
    const { type, shape, data } = await this.#load(`${frame}/${layer.index}`);
    const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return image(await new Response(stream).arrayBuffer(), type, shape);
  }

  async shown(_, frame) {
    const picture = new Image();
    picture.src = `data/${frame}/shown.png`;
    await picture.decode();
    return picture;
  }

  async preview(job, frame) { return this.shown(job, frame); }
  async thumbnail(_, frame) { return `data/${frame}/thumbnail.jpg`; }
}
