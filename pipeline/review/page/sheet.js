// The contact sheet: a picture of every frame, what it cost, and what is wrong with it.

import { short } from "./numbers.js";

export class Sheet {
  /** @param place that it fills; @param source of the pictures; @param go is called with the frame that was chosen. */
  constructor(place, source, go) {
    this.place = place;
    this.source = source;
    this.go = go;
    this.cells = new Map();
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.#load(entry.target);
    }, { root: place, rootMargin: "200px" });
  }

  /** Shows the job as it is now; pictures that have not changed stay. */
  update(page, current) {
    for (const frame of page.frames) {
      let cell = this.cells.get(frame.frame);
      if (!cell) {
        cell = this.#made(frame.frame);
        this.cells.set(frame.frame, cell);
        this.place.append(cell);
        this.seen.observe(cell);
      }
      this.#fill(cell, page, frame, frame.frame === current);
    }
  }

  #made(frame) {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.className = "cell";
    cell.append(Object.assign(document.createElement("div"), { className: "none" }));
    const told = Object.assign(document.createElement("span"), { className: "told" });
    told.append(document.createElement("span"), document.createElement("span"));
    cell.append(told);
    cell.addEventListener("click", () => this.go(frame));
    return cell;
  }

  #fill(cell, page, frame, current) {
    const told = cell.querySelectorAll(".told span");
    told[0].textContent = String(frame.frame);
    const facts = [...(frame.state === "done" ? [] : [frame.state]), ...(frame.spp === null ? [] : [`${short(frame.spp)} spp`, short(frame.error)])];
    told[1].textContent = frame.problem || facts.join(", ");
    cell.title = frame.problem || `frame ${frame.frame}: ${frame.state}`;
    cell.toggleAttribute("data-problem", Boolean(frame.problem));
    cell.setAttribute("aria-current", String(current));
    cell.dataset.job = page.job;
    cell.dataset.frame = frame.frame;
    if (cell.dataset.wanted !== frame.picture) {
      cell.dataset.wanted = frame.picture;
      this.seen.unobserve(cell);
      this.seen.observe(cell);
    }
  }

  async #load(cell) {
    const { job, frame, wanted, loaded } = cell.dataset;
    if (!wanted || wanted === loaded) return;
    cell.dataset.loaded = wanted;
    try {
      const address = await this.source.thumbnail(job, Number(frame));
      const picture = new Image();
      picture.alt = `frame ${frame}`;
      picture.src = address;
      await picture.decode();
      const before = cell.firstElementChild;
      if (before.src?.startsWith("blob:")) URL.revokeObjectURL(before.src);
      before.replaceWith(picture);
    } catch { /* the cell says what is wrong with the frame */ }
  }
}
