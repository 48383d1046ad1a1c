"use strict";
/* The networks in plain JavaScript, in a Web Worker: label maps in, pictures and logits out.

A map is {height, width, channels, values}: the channels of a pixel lie side by side, so that what
a row of a kernel reads is one piece of memory. A network is a list of layers. A layer reads maps
(`reads`: number of the map, slope of the activation below zero), lays their channels side by side,
convolves, and normalises by the statistics of the picture at hand. Maps are numbered from the
network's inputs on, then in the order of the layers.
*/

const BLOCK = 4; // output channels made at once; with two pixels, as many sums as registers hold

function decodeFloat16(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const halves = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = halves.getUint16(2 * i, true);
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    return bits >> 15 ? -size : size;
  });
}

/* Return the layer with its kernels in the order in which `convolve` reads them.

`passes` has one kernel for each grid of outputs: a single one, or four if the layer first doubles
height and width by repeating pixels. Then 3x3 pixels come from only 2x2 different ones, and which
ones depends on whether row and column of the output are even. */
function prepare(layer) {
  const weights = decodeFloat16(layer.weight);
  const half = (text) => (text === null ? null : decodeFloat16(text));
  const [outputs, inputs, side] = layer.shape;
  const prepared = { ...layer, outputs, inputs, bias: half(layer.bias) };
  prepared.scale = half(layer.scale);
  prepared.shift = half(layer.shift);
  const taps = Array.from({ length: side }, (_, tap) => [tap]);
  const grids = layer.doubles ? [[[0], [1, 2]], [[0, 1], [2]]] : [taps];
  prepared.passes = grids.flatMap((rows, top) => grids.map((columns, left) => {
    return { top, left, side: rows.length, kernel: pack(weights, layer.shape, rows, columns) };
  }));
  return prepared;
}

/* Return a kernel as [block of outputs][row][column][input][output in the block].

`rows` and `columns` say which of the layer's taps add up to one of the kernel's. */
function pack(weights, [outputs, inputs, side], rows, columns) {
  const blocks = Math.ceil(outputs / BLOCK);
  const kernel = new Float64Array(blocks * rows.length * columns.length * inputs * BLOCK);
  let at = 0;
  for (let block = 0; block < blocks; block++)
    for (const ys of rows)
      for (const xs of columns)
        for (let input = 0; input < inputs; input++)
          for (let output = block * BLOCK; output < (block + 1) * BLOCK; output++, at++)
            if (output < outputs)
              for (const y of ys)
                for (const x of xs)
                  kernel[at] += weights[((output * inputs + input) * side + y) * side + x];
  return kernel;
}

/* Return the maps with their channels side by side, activated, and `padding` zeros around them. */
function gather(layer, maps) {
  const { height, width } = maps[layer.reads[0][0]];
  const stride = (width + 2 * layer.padding) * layer.inputs;
  layer.gathered ??= new Float64Array((height + 2 * layer.padding) * stride);
  let first = 0;
  for (const [number, slope] of layer.reads) {
    const { channels, values } = maps[number];
    for (let y = 0, from = 0; y < height; y++) {
      let to = (y + layer.padding) * stride + layer.padding * layer.inputs + first;
      for (let x = 0; x < width; x++, to += layer.inputs)
        for (let channel = 0; channel < channels; channel++, from++)
          layer.gathered[to + channel] = values[from] < 0 ? slope * values[from] : values[from];
    }
    first += channels;
  }
  return { height, width, stride, values: layer.gathered };
}

/* Fill one grid of the outputs of a layer: every `step`-th row and column.

The sums of four channels of two pixels grow together, so that each number read is used at least
twice. Where the width is odd, the last pair of pixels overlaps the one before. */
function convolve(read, layer, pass, step, output) {
  const { values, stride: line } = read, { kernel, top, left } = pass, { inputs, outputs } = layer;
  const rows = output.height / step, columns = output.width / step;
  const run = pass.side * inputs, next = layer.stride * inputs;
  // A grid of a doubled map starts at the padding, or one pixel on.
  const start = top * line + left * inputs;
  const into = output.values;
  for (let block = 0; block < outputs; block += BLOCK) {
    const width = Math.min(BLOCK, outputs - block), first = block * pass.side * run;
    for (let y = 0; y < rows; y++)
      for (let pair = 0; pair < columns; pair += 2) {
        const x = Math.max(0, Math.min(pair, columns - 2));
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        let at = first;
        for (let row = 0; row < pass.side; row++) {
          let p = start + (y * layer.stride + row) * line + x * next;
          for (const end = p + run; p < end; p++, at += BLOCK) {
            const a = values[p], b = values[p + next];
            const k0 = kernel[at], k1 = kernel[at + 1], k2 = kernel[at + 2], k3 = kernel[at + 3];
            a0 += a * k0; a1 += a * k1; a2 += a * k2; a3 += a * k3;
            b0 += b * k0; b1 += b * k1; b2 += b * k2; b3 += b * k3;
          }
        }
        let to = ((y * step + top) * output.width + x * step + left) * outputs + block;
        into[to] = a0;
        if (width > 1) into[to + 1] = a1;
        if (width > 2) into[to + 2] = a2;
        if (width > 3) into[to + 3] = a3;
        to += step * outputs;
        into[to] = b0;
        if (width > 1) into[to + 1] = b1;
        if (width > 2) into[to + 2] = b2;
        if (width > 3) into[to + 3] = b3;
      }
  }
}

/* Give each channel of a map mean 0 and variance 1 over the picture, then scale and shift it. */
function normalise({ values, channels }, { scale, shift, epsilon }) {
  const count = values.length / channels;
  const means = new Float64Array(channels), variances = new Float64Array(channels);
  for (let i = 0; i < values.length; )
    for (let channel = 0; channel < channels; channel++) means[channel] += values[i++] / count;
  for (let i = 0; i < values.length; )
    for (let channel = 0; channel < channels; channel++) {
      const difference = values[i++] - means[channel];
      variances[channel] += (difference * difference) / count;
    }
  const factors = variances.map((variance, i) => scale[i] / Math.sqrt(variance + epsilon));
  for (let i = 0; i < values.length; )
    for (let channel = 0; channel < channels; channel++, i++)
      values[i] = (values[i] - means[channel]) * factors[channel] + shift[channel];
}

function addBias({ values, channels }, bias) {
  for (let i = 0; i < values.length; i++) values[i] += bias[i % channels];
}

function runLayer(layer, maps) {
  const read = gather(layer, maps), step = layer.doubles ? 2 : 1, side = layer.shape[2];
  const length = (size) =>
    Math.floor((step * size + 2 * layer.padding - side) / layer.stride) + 1;
  const height = length(read.height), width = length(read.width);
  layer.made ??= new Float64Array(height * width * layer.outputs);
  const output = { height, width, channels: layer.outputs, values: layer.made };
  for (const pass of layer.passes) convolve(read, layer, pass, step, output);
  if (layer.bias) addBias(output, layer.bias);
  if (layer.scale) normalise(output, layer);
  return output;
}

/* Return the last map of a network; its numbers are valid until the network runs again. */
function runNetwork(layers, inputs) {
  const maps = [...inputs];
  for (const layer of layers) maps.push(runLayer(layer, maps));
  return maps.at(-1);
}

let generator, discriminator, colours, size;

/* Return a label map of size * size classes as the generator's input, in [-1, 1]. */
function labelMap(classes) {
  const values = new Float64Array(3 * classes.length);
  classes.forEach((kind, i) => values.set(colours[kind].map((c) => c / 127.5 - 1), 3 * i));
  return { height: size, width: size, channels: 3, values };
}

function answer({ classes, judge }) {
  const start = performance.now();
  const real_a = labelMap(classes);
  const fake_b = runNetwork(generator, [real_a]);
  fake_b.values = fake_b.values.map(Math.tanh);
  const painted = performance.now();
  const logits = judge ? runNetwork(discriminator, [real_a, fake_b]).values : [];
  return {
    fake_b: Float32Array.from(fake_b.values),
    logits: judge ? Float32Array.from(logits) : null,
    painted: painted - start, // milliseconds
    judged: performance.now() - painted,
  };
}

self.onmessage = ({ data }) => {
  if (!data.generator) return self.postMessage(answer(data));
  ({ colours, size } = data);
  generator = data.generator.map(prepare);
  discriminator = data.discriminator.map(prepare);
  self.postMessage("ready");
};
