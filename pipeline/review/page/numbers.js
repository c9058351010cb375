// Half floats, colour scales, and numbers as text.

const HALVES = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  HALVES[bits] = exponent === 0 ? sign * fraction * 2 ** -24
    : exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// Polynomial of sixth degree of the scale magma, as pipeline/images/false_colour.py has it.
export const MAGMA = [
  [-0.002136485053939582, -0.000749655052795221, -0.005386127855323933],
  [0.2516605407371642, 0.6775232436837668, 2.494026599312351],
  [8.353717279216625, -3.577719514958484, 0.3144679030132573],
  [-27.66873308576866, 14.26473078096533, -13.64921318813922],
  [52.17613981234068, -27.94360607168351, 12.94416944238394],
  [-50.76852536473588, 29.04658282127291, 4.23415299384598],
  [18.65570506591883, -11.48977351997711, -5.601961508734096],
];

/** Display colour, 0 … 255 each, at a place 0 … 1 of the scale. */
export function magma(place) {
  return [0, 1, 2].map((k) => {
    const value = MAGMA.reduceRight((sum, row) => sum * place + row[k], 0);
    return Math.round(255 * Math.min(1, Math.max(0, value)));
  });
}

/** Value number `index` of an image {type, data}. */
export function valueAt(image, index) {
  return image.type === "half" ? HALVES[image.data[index]] : image.data[index];
}

/** The range of a scale that holds nearly all values of the first channel of an image: [low, high]. */
export function rangeOf(image) {
  const values = [], pixels = image.width * image.height, stride = Math.max(1, Math.floor(pixels / 20000));
  for (let pixel = 0; pixel < pixels; pixel += stride) {
    const value = valueAt(image, pixel * image.channels);
    if (Number.isFinite(value)) values.push(value);
  }
  if (!values.length) return [0, 1];
  values.sort((a, b) => a - b);
  const low = Math.min(0, values[0]), high = values[Math.floor((values.length - 1) * 0.995)];
  return [low, high > low ? high : low + 1];
}

/** The range of the difference of two images of one size. */
export function differenceOf(a, b) {
  if (!b || a.width !== b.width || a.height !== b.height) return [0, 1];
  const values = [], pixels = a.width * a.height, stride = Math.max(1, Math.floor(pixels / 20000));
  const channels = Math.min(a.channels, b.channels, 3);
  for (let pixel = 0; pixel < pixels; pixel += stride) {
    let most = 0;
    for (let k = 0; k < channels; k++) {
      most = Math.max(most, Math.abs(valueAt(a, pixel * a.channels + k) - valueAt(b, pixel * b.channels + k)));
    }
    if (Number.isFinite(most)) values.push(most);
  }
  values.sort((x, y) => x - y);
  const high = values[Math.floor((values.length - 1) * 0.995)];
  return [0, high > 0 ? high : 1];
}

/** A number with about three digits. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(size >= 1000 ? 4 : 3)));
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${short(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
