// Two pictures on a canvas, by WebGL2: view transform, false colour, wipe and difference, exact to the pixel.

import { fragment, VERTEX } from "./shaders.js";

const KINDS = { colour: 0, scalar: 1, vector: 2, shown: 3 };
const FORMATS = {
  half: [["R16F", "RED"], ["RG16F", "RG"], ["RGB16F", "RGB"], ["RGBA16F", "RGBA"]],
  float: [["R32F", "RED"], ["RG32F", "RG"], ["RGB32F", "RGB"], ["RGBA32F", "RGBA"]],
};
const WHOLE = [0, 0, 1, 1];

export class Painter {
  /** @throws Error where there is no WebGL2. */
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("this browser has no WebGL2");
    this.gl = gl;
    this.smooth = gl.getExtension("OES_texture_float_linear") !== null;
    this.textures = { a: gl.createTexture(), b: gl.createTexture(), strokes: gl.createTexture() };
    this.images = { a: null, b: null };
    this.programs = new Map();
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  }

  /** Draws with this view from now on. */
  setView(ocio, display) {
    const { gl } = this;
    if (!this.programs.has(ocio)) this.programs.set(ocio, this.#linked(fragment(ocio)));
    this.program = this.programs.get(ocio);
    gl.useProgram(this.program.handle);
    if ("drawingBufferColorSpace" in gl) {
      gl.drawingBufferColorSpace = display.startsWith("Display P3") ? "display-p3" : "srgb";
    }
  }

  /**
   * Puts a picture into a place.
   * @param place a or b
   * @param image of `source.pixels`, or an ImageBitmap as {bitmap, width, height}; null for none
   * @param kind colour, scalar, vector or shown
   */
  setImage(place, image, kind, region = WHOLE) {
    const { gl } = this;
    this.images[place] = image && { width: image.width, height: image.height, kind: KINDS[kind], region };
    if (!image) return;
    gl.bindTexture(gl.TEXTURE_2D, this.textures[place]);
    if (image.bitmap) {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, image.bitmap);
      this.#sampled(true);
      return;
    }
    const [stored, layout] = FORMATS[image.type][image.channels - 1];
    const type = image.type === "half" ? gl.HALF_FLOAT : gl.FLOAT;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl[stored], image.width, image.height, 0, gl[layout], type, image.data);
    this.#sampled(image.type === "half" || this.smooth);
  }

  /** Shows a painted map over the picture: bytes, 0 where nothing is painted; null for none. */
  setStrokes(strokes) {
    const { gl } = this;
    this.strokes = strokes;
    if (!strokes) return;
    gl.bindTexture(gl.TEXTURE_2D, this.textures.strokes);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, strokes.width, strokes.height, 0, gl.RED, gl.UNSIGNED_BYTE, strokes.data);
    this.#sampled(false);
  }

  /**
   * Draws.
   * @param look {mode, wipe, exposure, channel, scaleA, scaleB}
   * @param viewport where the frame lies
   * @returns whether there is a view to draw with
   */
  draw(look, viewport) {
    const { gl, program } = this, { a, b } = this.images;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    if (!program || !a) {
      gl.clearColor(0.094, 0.098, 0.106, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      return Boolean(program);
    }
    const other = b ?? a, at = program.places;
    [this.textures.a, b ? this.textures.b : this.textures.a, this.textures.strokes].forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform1i(at.uA, 0);
    gl.uniform1i(at.uB, 1);
    gl.uniform1i(at.uStrokes, 2);
    gl.uniform2f(at.uSizeA, a.width, a.height);
    gl.uniform2f(at.uSizeB, other.width, other.height);
    gl.uniform4fv(at.uRegionA, a.region);
    gl.uniform4fv(at.uRegionB, other.region);
    gl.uniform2fv(at.uScaleA, look.scaleA);
    gl.uniform2fv(at.uScaleB, look.scaleB);
    gl.uniform2f(at.uFrame, viewport.frame.width, viewport.frame.height);
    gl.uniform4f(at.uView, viewport.left, viewport.top, viewport.zoom, gl.drawingBufferHeight);
    gl.uniform1f(at.uWipe, look.wipe);
    gl.uniform1f(at.uExposure, look.exposure);
    gl.uniform1i(at.uMode, b ? look.mode : -1);
    gl.uniform1i(at.uKindA, a.kind);
    gl.uniform1i(at.uKindB, other.kind);
    gl.uniform1i(at.uChannel, look.channel);
    gl.uniform1i(at.uBrush, this.strokes ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return true;
  }

  #sampled(smooth) {
    const { gl } = this, how = smooth ? gl.LINEAR : gl.NEAREST;
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, how);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, how);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  #linked(text) {
    const { gl } = this, handle = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, text]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
        throw new Error(`the view's program does not compile: ${gl.getShaderInfoLog(shader)}`);
      }
      gl.attachShader(handle, shader);
    }
    gl.linkProgram(handle);
    if (!gl.getProgramParameter(handle, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(handle));
    const places = {};
    for (let index = 0; index < gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS); index++) {
      const { name } = gl.getActiveUniform(handle, index);
      places[name] = gl.getUniformLocation(handle, name);
    }
    return { handle, places };
  }
}
