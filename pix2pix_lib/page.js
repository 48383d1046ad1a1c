"use strict";
/* The page: the painter, and what is shown of the networks' answers.

The networks run in a worker, so that drawing never waits for them. It works on one label map at a
time; when it is done, it gets the newest one, and those in between are passed over. */

const data = JSON.parse(document.getElementById("data").textContent);
const SIZE = data.size;
const BACKGROUND = 0;
const UNDO_STEPS = 200;
const QUIET = 800; // milliseconds without a change before the picture is announced
const FAR = 8; // pixels that an arrow key moves with Shift

const find = (id) => document.getElementById(id);
const map = find("map"), picture = find("picture"), patches = find("patches");

const state = {
  classes: new Uint8Array(SIZE * SIZE), // row by row
  kind: data.names.indexOf("window"),
  tool: "brush",
  width: 6,
  cursor: { x: SIZE / 2, y: SIZE / 2 },
  stroke: null, // what is being painted: {before, start, last}
  undo: [], // earlier `classes`
  judge: false, // ask the discriminator too
  busy: true, // the worker has work, or is not yet there
  stale: false, // and `classes` have changed since
  fakeB: null, // (SIZE, SIZE, 3) in [-1, 1], row by row
  logits: null, // (side, side)
  patch: null, // {row, column}
};

// ------------------------------------------------------------------------------------------------
// The networks
// ------------------------------------------------------------------------------------------------

const worker = new Worker(
  URL.createObjectURL(new Blob([find("worker").textContent], { type: "text/javascript" })),
);
worker.onerror = (error) => say(`The networks cannot run in this browser: ${error.message}`);
worker.onmessage = ({ data: answer }) => {
  if (answer === "ready") say("Choose a class and paint on the label map.");
  else show(answer);
  setBusy(false);
  if (state.stale) request();
};

function setBusy(busy) {
  state.busy = busy;
  picture.setAttribute("aria-busy", String(busy));
}

/* Ask for the picture of the label map as it is now, or as it will be when the worker is free. */
function request() {
  state.stale = state.busy;
  if (state.busy) return;
  setBusy(true);
  worker.postMessage({ classes: state.classes.slice(), judge: state.judge });
}

let announcement;

function show({ fake_b, logits, painted, judged }) {
  state.fakeB = fake_b;
  state.logits = state.judge ? logits : null; // it may have been switched off meanwhile
  const pixels = new ImageData(SIZE, SIZE);
  for (let i = 0; i < SIZE * SIZE; i++) {
    for (let c = 0; c < 3; c++)
      pixels.data[4 * i + c] = Math.round((fake_b[3 * i + c] + 1) * 127.5);
    pixels.data[4 * i + 3] = 255;
  }
  picture.getContext("2d").putImageData(pixels, 0, 0);
  picture.setAttribute("aria-label", `The generator’s picture of a label map with ${shares()}`);
  find("timing").textContent =
    `Generator ${Math.round(painted)} ms` +
    (logits ? `, discriminator ${Math.round(judged)} ms` : "");
  showPatches();
  clearTimeout(announcement);
  const words = "The picture shows your label map as it is now.";
  if (state.undo.length) announcement = setTimeout(say, QUIET, words);
}

/* Return the classes on the map in words, the largest first. */
function shares() {
  const counts = data.names.map((name, kind) => {
    return { name, share: state.classes.filter((c) => c === kind).length / SIZE ** 2 };
  });
  const found = counts.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share);
  const percent = (share) => Math.max(1, Math.round(100 * share));
  return found.map(({ name, share }) => `${percent(share)} % ${name}`).join(", ");
}

// ------------------------------------------------------------------------------------------------
// The discriminator's map
// ------------------------------------------------------------------------------------------------

const probability = (logit) => 1 / (1 + Math.exp(-logit));
// Each patch is drawn as a square around the centre of what it sees.
const CORNER = data.field.start + (data.field.size - data.field.stride) / 2;

/* Lay the map over the picture, its colours from the least real patch of this picture to the most.

A discriminator at the end of its training is rarely fooled: on a scale from 0 to 1 all patches
would have the colour of 0. */
function showPatches() {
  const side = state.logits ? Math.sqrt(state.logits.length) : 0;
  patches.hidden = !side;
  find("scale").hidden = !state.judge;
  if (!side) return showPatch();
  patches.width = patches.height = side;
  const cells = new ImageData(side, side);
  const low = Math.min(...state.logits), high = Math.max(...state.logits);
  const step = 255 / (high - low || 1);
  const colour = (logit) => data.patchColours[Math.round((logit - low) * step)];
  state.logits.forEach((logit, i) => cells.data.set([...colour(logit), 255], 4 * i));
  patches.getContext("2d").putImageData(cells, 0, 0);
  const percent = (pixels) => `${(100 * pixels) / SIZE}%`;
  patches.style.left = patches.style.top = percent(CORNER);
  patches.style.width = patches.style.height = percent(side * data.field.stride);
  find("least").textContent = inWords(probability(low));
  find("most").textContent = inWords(probability(high));
  state.patch ??= { row: side >> 1, column: side >> 1 };
  showPatch();
}

/* Frame what the chosen patch sees, on both pictures, and say what the discriminator thinks. */
function showPatch() {
  if (!state.logits) {
    place("frame", null);
    place("cell", null);
    return write("patch", "");
  }
  const { row, column } = state.patch, { size, stride, start } = data.field;
  const side = Math.sqrt(state.logits.length);
  const top = start + stride * row, left = start + stride * column;
  const inside = (from) => [Math.max(0, from), Math.min(SIZE, from + size)];
  const [y0, y1] = inside(top), [x0, x1] = inside(left);
  place("frame", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
  place("cell", {
    x: CORNER + stride * column, y: CORNER + stride * row, width: stride, height: stride,
  });
  const real = probability(state.logits[row * side + column]);
  const above = state.logits.filter((logit) => logit > state.logits[row * side + column]).length;
  const cut = x1 - x0 < size || y1 - y0 < size ? " and padding around the picture" : "";
  write("patch",
    `Patch in row ${row + 1}, column ${column + 1} of ${side} × ${side} sees the pixel rows ` +
    `${y0} to ${y1 - 1} and columns ${x0} to ${x1 - 1}${cut}. Probability of being real ` +
    `${inWords(real)}: ${verdict(real)}. ${above || "No"} of ${side ** 2} patches ` +
    `look${above === 1 ? "s" : ""} more real.`);
}

function inWords(share) {
  if (share < 0.0001) return "below 0.0001";
  return share < 0.01 ? share.toFixed(4) : share.toFixed(share > 0.99 ? 4 : 2);
}

function verdict(real) {
  if (real < 0.1) return "almost certainly generated";
  if (real < 0.4) return "rather generated";
  if (real <= 0.6) return "the discriminator cannot tell";
  return real <= 0.9 ? "rather real" : "almost certainly real";
}

function choosePatch(row, column) {
  if (!state.logits) return;
  const last = Math.sqrt(state.logits.length) - 1;
  const within = (number) => Math.max(0, Math.min(last, number));
  state.patch = { row: within(row), column: within(column) };
  showPatch();
}

// ------------------------------------------------------------------------------------------------
// Painting
// ------------------------------------------------------------------------------------------------

function drawMap(canvas, classes) {
  canvas.width = canvas.height = SIZE;
  const pixels = new ImageData(SIZE, SIZE);
  classes.forEach((kind, i) => pixels.data.set([...data.colours[kind], 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/* Show `classes` after a change, and ask for their picture. */
function refresh() {
  drawMap(map, state.classes);
  map.setAttribute("aria-label", `Label map, ${SIZE} by ${SIZE} pixels: ${shares()}`);
  request();
}

/* Paint rows y0 to y1 - 1 and columns x0 to x1 - 1, as far as they lie on the map. */
function paintBox(x0, y0, x1, y1) {
  for (let y = Math.max(0, y0); y < Math.min(SIZE, y1); y++)
    state.classes.fill(state.kind, y * SIZE + Math.max(0, x0), y * SIZE + Math.min(SIZE, x1));
}

function brushBox({ x, y }) {
  const width = state.tool === "brush" ? state.width : 1, half = width >> 1;
  return { x: x - half, y: y - half, width, height: width };
}

function paintDab(point) {
  const { x, y, width } = brushBox(point);
  if (x + width > 0 && x < SIZE) paintBox(x, y, x + width, y + width);
}

function paintLine(from, to) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  const between = (a, b, step) => Math.round(a + ((b - a) * step) / steps);
  for (let step = 0; step <= steps; step++)
    paintDab({ x: between(from.x, to.x, step), y: between(from.y, to.y, step) });
}

/* Paint the area of one class around a point; diagonal neighbours do not count. */
function fillArea({ x, y }) {
  const { classes, kind } = state, old = classes[y * SIZE + x];
  if (old === kind) return;
  const waiting = [[x, y]];
  while (waiting.length) {
    const [column, row] = waiting.pop(), at = row * SIZE + column;
    if (column < 0 || row < 0 || column >= SIZE || row >= SIZE || classes[at] !== old) continue;
    classes[at] = kind;
    waiting.push([column - 1, row], [column + 1, row], [column, row - 1], [column, row + 1]);
  }
}

function beginStroke(point) {
  state.stroke = { before: state.classes.slice(), start: point, last: point };
  if (state.tool === "fill") {
    fillArea(within(point));
    refresh();
  } else continueStroke(point);
}

function continueStroke(point) {
  const { stroke } = state;
  if (state.tool === "brush") paintLine(stroke.last, point);
  if (state.tool === "rectangle") {
    state.classes.set(stroke.before);
    const a = within(stroke.start), b = within(point);
    const [x0, x1] = [Math.min(a.x, b.x), Math.max(a.x, b.x)];
    const [y0, y1] = [Math.min(a.y, b.y), Math.max(a.y, b.y)];
    paintBox(x0, y0, x1 + 1, y1 + 1);
  }
  stroke.last = point;
  if (state.tool !== "fill") refresh();
}

function endStroke() {
  if (!state.stroke) return;
  remember(state.stroke.before);
  state.stroke = null;
  const { x, y } = state.cursor;
  say(`${title(data.names[state.kind])} painted at row ${y}, column ${x}.`);
}

/* Give up a rectangle that has one corner, and end anything else. */
function leaveStroke() {
  if (state.tool === "rectangle") dropStroke();
  else endStroke();
}

function dropStroke() {
  if (!state.stroke) return;
  state.classes.set(state.stroke.before);
  state.stroke = null;
  refresh();
  say("Dropped.");
}

/* Keep an earlier map for undo, if it is another one. */
function remember(before) {
  if (before.some((kind, i) => kind !== state.classes[i])) state.undo.push(before);
  if (state.undo.length > UNDO_STEPS) state.undo.shift();
}

/* Replace the whole map, in a way that can be undone. */
function replaceMap(classes, words) {
  state.stroke = null;
  const before = state.classes.slice();
  state.classes.set(classes);
  remember(before);
  refresh();
  say(words);
}

function undo() {
  if (state.stroke) return dropStroke();
  if (!state.undo.length) return say("Nothing to undo.");
  state.classes.set(state.undo.pop());
  refresh();
  say("Undone.");
}

// ------------------------------------------------------------------------------------------------
// Pointer and keys
// ------------------------------------------------------------------------------------------------

const clamp = (number) => Math.max(0, Math.min(SIZE - 1, number));
const within = ({ x, y }) => ({ x: clamp(x), y: clamp(y) });

/* Return the pixel under the pointer; it may lie outside of the map. */
function pixelAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const pixel = (place, start, length) => Math.floor(((place - start) / length) * SIZE);
  return {
    x: pixel(event.clientX, box.left, box.width),
    y: pixel(event.clientY, box.top, box.height),
  };
}

function moveCursor(point) {
  state.cursor = within(point);
  place("cursor", brushBox(state.cursor));
}

map.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  map.setPointerCapture(event.pointerId);
  leaveStroke();
  moveCursor(pixelAt(event));
  beginStroke(pixelAt(event));
});
map.addEventListener("pointermove", (event) => {
  if (!event.isPrimary) return;
  moveCursor(pixelAt(event));
  if (state.stroke && event.buttons) continueStroke(pixelAt(event));
});
map.addEventListener("pointerup", endStroke);
map.addEventListener("pointercancel", endStroke);
map.addEventListener("pointerleave", () => document.activeElement === map || place("cursor", null));
map.addEventListener("focus", () => moveCursor(state.cursor));
map.addEventListener("blur", () => {
  leaveStroke();
  place("cursor", null);
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

map.addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key], step = event.shiftKey ? FAR : 1;
  if (event.key === "Escape") return dropStroke();
  if (!arrow && event.key !== " ") return;
  event.preventDefault(); // no scrolling
  if (arrow) {
    moveCursor({ x: state.cursor.x + step * arrow[0], y: state.cursor.y + step * arrow[1] });
    if (state.stroke) continueStroke(state.cursor);
    else say(`Row ${state.cursor.y}, column ${state.cursor.x}.`);
  } else if (!event.repeat) pressSpace();
});
map.addEventListener("keyup", (event) => {
  if (event.key === " " && state.tool !== "rectangle") endStroke();
});

/* Space paints while it is held; a rectangle has its corners where it is pressed twice. */
function pressSpace() {
  if (state.tool === "rectangle" && state.stroke) return endStroke();
  beginStroke(state.cursor);
  if (state.tool === "rectangle") say("First corner set; Space sets the other one.");
}

function followPatch(event) {
  const { x, y } = pixelAt(event);
  const patch = (pixel) => Math.floor((pixel - CORNER) / data.field.stride);
  choosePatch(patch(y), patch(x));
}
picture.addEventListener("pointermove", followPatch);
picture.addEventListener("pointerdown", followPatch);
picture.addEventListener("keydown", (event) => {
  const arrow = ARROWS[event.key];
  if (!arrow || !state.logits) return;
  event.preventDefault();
  choosePatch(state.patch.row + arrow[1], state.patch.column + arrow[0]);
});
document.addEventListener("keydown", (event) => {
  const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey);
  if (!isUndo) return;
  event.preventDefault();
  undo();
});

// ------------------------------------------------------------------------------------------------
// Controls
// ------------------------------------------------------------------------------------------------

const title = (word) => word[0].toUpperCase() + word.slice(1);

function write(id, text) {
  if (find(id).textContent !== text) find(id).textContent = text;
}

function say(text) {
  clearTimeout(announcement); // what a person did is said last
  write("status", text);
}

/* Put the rectangles of a class of lines around a box of pixels; null hides them. */
function place(name, box) {
  for (const rect of document.querySelectorAll(`rect.${name}`)) {
    rect.style.display = box ? "" : "none";
    for (const [key, value] of Object.entries(box ?? {})) rect.setAttribute(key, value);
  }
}

/* Press one button of a row, and release the others. */
function press(parent, chosen) {
  for (const button of parent.querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(button === chosen));
}

function addButton(parent, content, click) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...content);
  button.addEventListener("click", () => click(button));
  parent.append(button);
  return button;
}

function fillPalette() {
  const palette = find("palette");
  data.names.forEach((name, kind) => {
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${data.colours[kind]})`;
    const button = addButton(palette, [swatch, title(name)], () => {
      dropStroke();
      state.kind = kind;
      press(palette, button);
    });
    if (kind === state.kind) press(palette, button);
  });
}

function fillStarts() {
  data.starts.forEach((packed, number) => {
    const classes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const small = document.createElement("canvas");
    drawMap(small, classes);
    const words = `Facade ${number + 1} is on the map.`;
    const button = addButton(find("starts"), [small], () => replaceMap(classes, words));
    button.setAttribute("aria-label", `Start from facade ${number + 1}`);
    if (number === 0) state.classes.set(classes);
  });
}

function chooseTool(button) {
  dropStroke();
  state.tool = button.dataset.tool;
  press(find("tools"), button);
}

function setWidth() {
  state.width = Number(find("width").value);
  find("width-shown").textContent = `${state.width} pixel${state.width > 1 ? "s" : ""}`;
}

function toggleJudge() {
  state.judge = !state.judge;
  find("judge").setAttribute("aria-pressed", String(state.judge));
  picture.classList.toggle("judged", state.judge);
  if (!state.judge) state.logits = null;
  showPatches();
  if (state.judge) request();
}

function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`Saved as ${name}, ${SIZE} × ${SIZE} pixels.`);
  });
}

function drawBar() {
  const colours = new ImageData(256, 1);
  data.patchColours.forEach((colour, i) => colours.data.set([...colour, 255], 4 * i));
  find("bar").getContext("2d").putImageData(colours, 0, 0);
}

function start() {
  picture.width = picture.height = SIZE;
  for (const lines of document.querySelectorAll("svg.lines"))
    lines.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
  picture.setAttribute("aria-label", "The generator’s picture, not yet made");
  place("cursor", null);
  fillPalette();
  fillStarts();
  drawBar();
  setWidth();
  for (const button of find("tools").children)
    button.addEventListener("click", () => chooseTool(button));
  press(find("tools"), find("tools").firstElementChild);
  find("width").addEventListener("input", setWidth);
  find("undo").addEventListener("click", undo);
  find("clear").addEventListener("click", () => {
    replaceMap(new Uint8Array(SIZE * SIZE).fill(BACKGROUND), "The map is all background.");
  });
  find("judge").addEventListener("click", toggleJudge);
  find("save").addEventListener("click", () => save(picture, "generated.png"));
  find("save-map").addEventListener("click", () => save(map, "label-map.png"));
  showPatches();
  setBusy(true);
  refresh(); // its request waits until the worker has the networks
  worker.postMessage({
    generator: data.generator, discriminator: data.discriminator, colours: data.colours, size: SIZE,
  });
}

start();
