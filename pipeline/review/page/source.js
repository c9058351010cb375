// Where the page's data come from: the server that serves it, or the files of an exported folder.

/** What a source could not give; its message is for people. */
export class NotThere extends Error {}

function image(buffer, type, [height, width, channels]) {
  const data = type === "half" ? new Uint16Array(buffer) : new Float32Array(buffer);
  return { width, height, channels, type, data };
}

/** A proxy: it covers a region of the frame, whose right and lower edges may be left over. */
function proxied(small, [width, height, step]) {
  const region = { left: 0, top: 0, width: small.width * step, height: small.height * step };
  return Object.assign(small, { full: { width, height }, region });
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
  async program(display, view, space) {
    return (await this.#ask(`/v1/views/program?${new URLSearchParams({ display, view, space })}`)).text();
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

  async proxy(job, frame, name) {
    const response = await this.#ask(`/v1/review/${job}/frames/${frame}/proxy?layer=${name}`);
    return proxied(await this.#pixels(response), response.headers.get("X-Frame").split(",").map(Number));
  }

  async steered(job, frame, wanted) {
    return this.#pixels(await this.#post(`/v1/review/${job}/frames/${frame}/steered`, wanted));
  }

  async shown(job, frame, layer, settings) {
    const asked = new URLSearchParams({ layer: layer.index, ...settings });
    return createImageBitmap(await (await this.#ask(`/v1/review/${job}/frames/${frame}/shown?${asked}`)).blob());
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
    this.loading = new Map();   // promises by name
    this.waiting = new Map();   // what to do with a value, by name
    globalThis.penumbra = (name, value) => {
      this.waiting.get(name)?.(value);
      this.waiting.delete(name);
    };
  }

  #load(name) {
    if (!this.loading.has(name)) {
      this.loading.set(name, this.#run(name).finally(() => this.loading.delete(name)));
    }
    return this.loading.get(name);
  }

  #run(name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const ended = () => {
        script.remove();
        if (this.waiting.delete(name)) reject(new NotThere("it is not in this folder"));
      };
      script.src = `data/${name}.js`;
      script.onload = script.onerror = ended;
      this.waiting.set(name, resolve);
      document.head.append(script);
    });
  }

  async document() { return this.#load("document"); }
  async views() { return (this.known ??= await this.#load("views")); }
  async program(display, view) { return (await this.views()).programs[display][view]; }
  async layers(_, frame) {
    const { picture, layers } = await this.#load(`${frame}/layers`); // what is kept of it holds no pixels
    return { picture, layers };
  }

  /** A layer at full precision, or its proxy where the folder has nothing else. */
  async pixels(job, frame, layer) {
    if (!layer.whole) return this.proxy(job, frame, layer.name);
    return this.#unpacked(await this.#load(`${frame}/${layer.index}`));
  }

  async proxy(_, frame, name) {
    const told = (await this.#load(`${frame}/layers`)).proxies[name];
    if (!told) throw new NotThere("it is not in this folder");
    return proxied(await this.#unpacked(told), told.frame);
  }

  async #unpacked({ type, shape, data }) {
    const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return image(await new Response(stream).arrayBuffer(), type, shape);
  }

  async shown(_, frame, layer) {
    const picture = new Image();
    picture.src = `data/${frame}/${layer.whole ? "shown.png" : "thumbnail.jpg"}`;
    await picture.decode();
    return picture;
  }

  async thumbnail(_, frame) { return `data/${frame}/thumbnail.jpg`; }
}
