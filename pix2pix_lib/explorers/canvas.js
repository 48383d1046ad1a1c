// The panel of an explorer in the page; `canvas.py` says what comes and goes.

const LATE = 3000; // milliseconds without an answer, after which that is said
const NO_ANSWER = 'No answer yet: the kernel is busy, or was restarted. After a restart, run this cell again.';
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const TOOLS = { 'fine brush': 3, brush: 7, 'broad brush': 15, rectangle: 0, fill: 0 };

const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const percent = share => `${100 * share}%`;

/** Make an element with these properties; those with a dash are attributes. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Where an event lies on an element, as [down, across] from 0 to 1. */
function placeOf(event, element) {
  const box = element.getBoundingClientRect();
  return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
}

/** Keep a key from JupyterLab, which would move to another cell. */
function keep(event) {
  event.preventDefault();
  event.stopPropagation();
}

function render({ model, el }) {
  const panel = new Panel(model, el);
  const changed = () => panel.hear(JSON.parse(model.get('state')));
  model.on('change:state', changed);
  changed();
  return () => {
    model.off('change:state', changed);
    panel.stop();
    panel.link.close();
  };
}

// -------------------------------------------------------------------------------------------------
// Messages: one is under way, what is asked meanwhile waits
// -------------------------------------------------------------------------------------------------

class Link {
  constructor(model, warn) {
    Object.assign(this, { model, warn, waiting: [], busy: null, count: 0, timer: 0 });
  }

  ask(step) {
    const last = this.waiting[this.waiting.length - 1];
    if (step.set && last?.set) Object.assign(last.set, step.set);
    else this.waiting.push(step);
    this.send();
  }

  send() {
    if (this.busy || !this.waiting.length) return;
    this.busy = `${Date.now()}.${++this.count}`; // never what an earlier page has asked
    this.model.set('request', JSON.stringify({ id: this.busy, steps: this.waiting }));
    this.waiting = [];
    this.model.save_changes();
    this.timer = setTimeout(() => this.warn(NO_ANSWER), LATE);
  }

  /** Note an answer; what has waited is sent. */
  heard(id) {
    if (id !== this.busy) return;
    clearTimeout(this.timer);
    this.warn('');
    this.busy = null;
    this.send();
  }

  /** Whether a control waits to be heard, so that an older answer must not move it. */
  waitsFor(name) {
    return this.waiting.some(step => step.set && name in step.set);
  }

  close() {
    clearTimeout(this.timer);
  }
}

// -------------------------------------------------------------------------------------------------
// The panel
// -------------------------------------------------------------------------------------------------

class Panel {
  constructor(model, root) {
    root.classList.add('p2p-live');
    root.dataset.lmSuppressShortcuts = 'true'; // JupyterLab's keys are not meant here
    this.id = `p2p-${Math.random().toString(36).slice(2)}`; // each widget has a copy of this file
    this.link = new Link(model, words => this.warn(words));
    this.controls = new Map();
    this.drawings = new Map();
    this.figures = [];
    this.bar = make('div', { className: 'p2p-controls' });
    this.stage = make('div', { className: 'p2p-stage', role: 'group' });
    this.hint = make('div', { className: 'p2p-hint' });
    this.warning = make('div', { className: 'p2p-warning', role: 'status', 'aria-live': 'polite' });
    this.text = make('div', { className: 'p2p-text', role: 'status', 'aria-live': 'polite' });
    const view = make('div', { className: 'p2p-view' }, this.hint, this.stage, this.warning, this.text);
    root.append(make('div', { className: 'p2p-panel' }, this.bar, view));
    const { controls, actions } = JSON.parse(model.get('controls'));
    this.makeControls(controls);
    this.makeButtons(actions);
  }

  makeControls(controls) {
    const groups = new Map();
    for (const each of controls) {
      if (!groups.has(each.group)) {
        const group = make('fieldset', {}, ...(each.group ? [make('legend', {}, each.group)] : []));
        groups.set(each.group, group);
        this.bar.append(group);
      }
      if (each.kind === 'drawing') this.drawings.set(each.name, new Drawing(this, each, groups.get(each.group)));
      else {
        const control = new Control(this, each, `${this.id}-${each.name}`);
        this.controls.set(each.name, control);
        groups.get(each.group).append(control.row);
      }
    }
  }

  makeButtons(actions) {
    const buttons = actions.map(({ label, repeat, pause }, press) => {
      const button = make('button', { type: 'button' }, label);
      if (repeat) button.setAttribute('aria-pressed', 'false');
      button.onclick = () => (repeat ? this.toggle(button, press, pause) : this.link.ask({ press }));
      return button;
    });
    const reset = make('button', { type: 'button', className: 'p2p-reset' }, 'reset');
    reset.onclick = () => {
      this.stop();
      this.link.ask({ reset: true });
    };
    this.bar.append(make('div', { className: 'p2p-buttons' }, ...buttons, reset));
  }

  /** Press a button that repeats, or let it go. */
  toggle(button, press, pause) {
    const on = !(this.playing?.button === button);
    this.stop();
    if (!on) return;
    button.setAttribute('aria-pressed', 'true');
    this.playing = { button, press, pause };
    this.link.ask({ press });
  }

  stop() {
    if (!this.playing) return;
    clearTimeout(this.playing.timer);
    this.playing.button.setAttribute('aria-pressed', 'false');
    this.playing = null;
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) this.controls.get(name)?.show(value);
    this.link.ask({ set: values });
  }

  value(name) {
    return this.controls.get(name).value;
  }

  say(words) {
    this.hint.textContent = words;
  }

  warn(words) {
    if (words) this.stop();
    this.warning.textContent = words;
  }

  /** Show a new state. */
  hear(state) {
    for (const [name, control] of this.controls) {
      if (state.ranges[name]) control.setRange(...state.ranges[name]);
      if (!this.link.waitsFor(name)) control.show(state.values[name]);
    }
    for (const [name, drawing] of this.drawings) if (!this.link.waitsFor(name)) drawing.load(state.values[name]);
    this.showRows(state.rows);
    this.stage.setAttribute('aria-label', state.alt);
    if (this.text.innerText !== state.text) this.text.textContent = state.text;
    const answered = state.answers && state.answers === this.link.busy;
    this.link.heard(state.answers);
    if (state.wrong) this.warn(state.wrong);
    if (answered && this.playing) this.goOn(state);
  }

  /** Press the button that repeats once more, unless nothing has changed any longer. */
  goOn(state) {
    const now = JSON.stringify([state.values, state.text]), { press, pause, last, timer } = this.playing;
    if (last === now) return this.stop();
    clearTimeout(timer); // a control that is moved meanwhile is answered, too
    this.playing.last = now;
    this.playing.timer = setTimeout(() => this.link.ask({ press, again: true }), pause);
  }

  showRows(rows) {
    const layout = JSON.stringify(rows.map(row => row.map(picture => [!!picture.svg, !!picture.over, !!picture.sketch, picture.drawing])));
    if (layout !== this.layout) {
      this.layout = layout;
      this.figures = rows.map(row => row.map(picture => new Figure(this, picture)));
      this.stage.replaceChildren(
        ...this.figures.map(figures => make('div', { className: 'p2p-row' }, ...figures.map(each => each.element))),
      );
      const first = this.figures.flat().find((each, i) => rows.flat()[i].cells?.points);
      this.keyboard = first?.place;
    }
    this.figures.flat().forEach((figure, i) => figure.show(rows.flat()[i]));
    // Lit boxes follow one after the other, the last first: see the style sheet.
    const lit = this.figures.flat().filter(figure => figure.cells?.lit).reverse();
    lit.forEach((figure, turn) => figure.place.style.setProperty('--turn', turn));
  }

  /** Frame an output on all pictures; `kind` is 'chosen' or 'hover'. */
  frame(kind, row, col) {
    for (const figure of this.figures.flat()) figure.frame(kind, row, col);
  }

  unframe() {
    for (const figure of this.figures.flat()) figure.hover.hidden = true;
    this.say('');
  }

  /** What is known of an output, in words. */
  wordsOf(row, col) {
    const cells = this.figures.flat().map(figure => figure.cells).find(each => each?.words.length);
    const words = cells ? `: ${cells.words[row * cells.shape[1] + col]}` : '';
    return `row ${row}, column ${col}${words}`;
  }

  /** Choose an output; `names` are the two controls that say which one. */
  choose([down, across], row, col) {
    if (row === this.value(down) && col === this.value(across)) return;
    this.frame('chosen', row, col);
    this.set({ [down]: row, [across]: col });
  }
}

// -------------------------------------------------------------------------------------------------
// A control: a slider, a list, or a box to tick
// -------------------------------------------------------------------------------------------------

class Control {
  constructor(panel, { name, label, kind, step, digits, options }, id) {
    Object.assign(this, { label, kind, digits, options });
    this.output = make('output', { htmlFor: id });
    if (kind === 'list') {
      this.input = make('select', { id }, ...options.map((words, value) => make('option', { value }, words)));
    } else if (kind === 'switch') this.input = make('input', { id, type: 'checkbox' });
    else {
      const range = options ? { min: 0, max: options.length - 1, step: 1 } : { step };
      this.input = make('input', { id, type: 'range', ...range });
    }
    this.input.oninput = () => panel.set({ [name]: this.value });
    this.input.addEventListener('keydown', event => event.stopPropagation());
    const title = make('label', { for: id }, label);
    this.row = make('div', { className: `p2p-control p2p-${kind}` }, title, this.output, this.input);
  }

  get value() {
    return this.kind === 'switch' ? this.input.checked : Number(this.input.value);
  }

  setRange(low, high) {
    this.input.min = low;
    this.input.max = high;
  }

  show(value) {
    if (this.kind === 'switch') this.input.checked = value;
    else if (Number(this.input.value) !== value) this.input.value = value;
    if (this.kind !== 'slider') return;
    const words = this.options ? this.options[value] : value.toFixed(this.digits);
    this.output.textContent = words;
    this.input.setAttribute('aria-valuetext', words);
  }
}

// -------------------------------------------------------------------------------------------------
// A picture
// -------------------------------------------------------------------------------------------------

class Figure {
  constructor(panel, picture) {
    this.panel = panel;
    this.title = make('figcaption');
    this.place = make('div', { className: 'p2p-picture' });
    this.chosen = make('div', { className: 'p2p-box', hidden: true });
    this.hover = make('div', { className: 'p2p-box p2p-over', hidden: true });
    this.below = make('div', { className: 'p2p-below' });
    this.spots = make('div');
    this.element = make('figure', {}, this.title, this.place, this.below);
    this.drawing = panel.drawings.get(picture.drawing);
    if (this.drawing) this.place.append(...this.drawing.attach(this.place));
    else {
      this.image = make(picture.svg ? 'div' : 'img', { className: 'p2p-image' });
      this.place.append(this.image);
      this.listen();
    }
    if (picture.over) this.addWipe();
    if (picture.sketch) this.place.append(this.sketch = make('div', { className: 'p2p-sketch' }));
    this.place.append(this.chosen, this.hover, this.spots);
  }

  show(picture) {
    const { width, height, cells, axes } = picture;
    Object.assign(this, { cells, axes, picture });
    Object.assign(this.element.style, { flex: `${width} 1 ${0.6 * width}px`, maxWidth: `${1.6 * width}px` });
    this.title.textContent = picture.title;
    this.place.style.aspectRatio = `${width} / ${height}`;
    if (this.drawing) return;
    this.showImage(picture);
    this.showScale(picture);
    this.showSpots(picture.spots);
    this.chosen.hidden = !cells?.chosen;
    if (cells?.chosen) this.frame('chosen', ...cells.chosen);
    const points = cells?.points || picture.axes.length || picture.over;
    this.place.classList.toggle('p2p-points', !!points);
    if (this.place === this.panel.keyboard) this.takeKeys(cells);
  }

  showImage({ svg, source, over, sketch, smooth, title }) {
    if (svg) {
      if (svg !== this.svg) this.image.innerHTML = this.svg = svg;
      this.image.setAttribute('role', 'img');
      this.image.setAttribute('aria-label', title || 'a drawing');
      return;
    }
    if (this.image.src !== source) this.image.src = source;
    this.image.alt = title;
    this.place.classList.toggle('p2p-smooth', smooth);
    if (over && this.over.src !== over) this.over.src = over;
    if (sketch) this.sketch.innerHTML = sketch;
  }

  showScale({ scale, file }) {
    const key = JSON.stringify([scale, file]);
    if (key === this.belowKey) return;
    this.belowKey = key;
    this.below.replaceChildren(...(this.wipe ? [this.wipe] : []));
    if (scale) {
      const colours = make('div', { className: 'p2p-scale' });
      colours.style.background = scale.colours;
      const marks = scale.marks.map(mark => make('span', {}, mark));
      this.below.append(colours, make('div', { className: 'p2p-marks' }, ...marks));
    }
    if (file) {
      const save = make('button', { type: 'button' }, 'save as PNG');
      save.onclick = () => make('a', { href: this.image.src, download: file }).click();
      this.below.append(save);
    }
  }

  showSpots(spots) {
    const key = JSON.stringify(spots);
    if (key === this.spotsKey) return;
    this.spotsKey = key;
    const buttons = spots.map(({ box: [top, left, bottom, right], values, words, chosen }) => {
      const spot = make('button', { type: 'button', className: 'p2p-spot', tabIndex: -1, 'aria-label': words });
      if (chosen) spot.classList.add('p2p-chosen');
      Object.assign(spot.style, {
        top: percent(top), left: percent(left), height: percent(bottom - top), width: percent(right - left),
      });
      spot.onpointerenter = () => this.panel.say(words);
      spot.onpointerleave = () => this.panel.say('');
      spot.onclick = () => this.panel.set(values);
      return spot;
    });
    this.spots.replaceChildren(...buttons);
  }

  frame(kind, row, col) {
    if (!this.cells) return;
    const { start, step, size, lit } = this.cells, box = this[kind];
    const [top, left] = [start[0] + step[0] * row, start[1] + step[1] * col];
    Object.assign(box.style, { // a box that is too small to be seen grows around its middle
      top: percent(top + size[0] / 2), left: percent(left + size[1] / 2), height: percent(size[0]), width: percent(size[1]),
      transform: 'translate(-50%, -50%)',
    });
    box.classList.toggle('p2p-lit', lit);
    box.hidden = false;
  }

  /** The output whose box has its middle nearest to an event. */
  cellAt(event) {
    const { shape, start, step, size } = this.cells;
    return placeOf(event, this.place).map((share, i) =>
      clip(Math.round((share - start[i] - size[i] / 2) / step[i]), 0, shape[i] - 1));
  }

  listen() {
    const place = this.place;
    place.addEventListener('pointermove', event => this.moved(event));
    place.addEventListener('pointerleave', () => this.panel.unframe());
    place.addEventListener('pointerdown', event => {
      if (!this.cells?.points && !this.axes.length && !this.over) return;
      place.setPointerCapture(event.pointerId);
      this.dragged = this.nearestAxis(event);
      if (this.cells?.points) this.panel.keyboard?.focus({ preventScroll: true });
      this.moved(event);
      event.preventDefault();
    });
    place.addEventListener('pointerup', () => { this.dragged = null; });
  }

  moved(event) {
    const down = event.buttons & 1;
    if (this.cells?.points) {
      const [row, col] = this.cellAt(event);
      this.panel.frame('hover', row, col);
      this.panel.say(this.panel.wordsOf(row, col));
      if (down) this.panel.choose(this.cells.names, row, col);
    } else if (down && this.dragged) this.drag(event);
    else if (down && this.over) this.setWipe(placeOf(event, this.place)[1]);
    else if (this.axes.length) this.panel.say(`drag to move: ${this.panel.controls.get(this.nearestAxis(event).name).label}`);
  }

  nearestAxis(event) {
    const across = placeOf(event, this.place)[1];
    const far = axis => Math.abs(this.now(axis) - across);
    return [...(this.axes || [])].sort((one, two) => far(one) - far(two))[0];
  }

  /** Where the handle of an axis is. */
  now({ name, places }) {
    const value = this.panel.value(name);
    return (places.find(place => place[1] === value) || places[0])[0];
  }

  drag(event) {
    const across = placeOf(event, this.place)[1], { name, places } = this.dragged;
    const nearest = places.reduce((one, two) => (Math.abs(two[0] - across) < Math.abs(one[0] - across) ? two : one));
    if (nearest[1] !== this.panel.value(name)) this.panel.set({ [name]: nearest[1] });
  }

  addWipe() {
    this.over = make('img', { className: 'p2p-image p2p-above', alt: '' });
    const slider = make('input', { type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'wipe' });
    slider.oninput = () => this.setWipe(Number(slider.value));
    slider.addEventListener('keydown', event => event.stopPropagation());
    this.wipe = slider;
    this.place.append(this.over);
    this.setWipe(0.5);
  }

  setWipe(share) {
    this.wipe.value = clip(share, 0, 1);
    this.place.style.setProperty('--wipe', percent(clip(share, 0, 1)));
  }

  /** Let the arrow keys move the chosen output. */
  takeKeys(cells) {
    this.place.tabIndex = 0;
    this.place.setAttribute('role', 'application');
    this.place.setAttribute('aria-label', `map, arrow keys move: ${this.panel.wordsOf(...(cells.chosen || [0, 0]))}`);
    this.place.onkeydown = event => {
      const step = ARROWS[event.key];
      if (!step) return;
      keep(event);
      const names = this.cells.names, now = names.map(name => this.panel.value(name));
      this.panel.choose(names, ...now.map((at, i) => clip(at + step[i], 0, this.cells.shape[i] - 1)));
    };
  }
}

// -------------------------------------------------------------------------------------------------
// A map that is painted
// -------------------------------------------------------------------------------------------------

class Drawing {
  constructor(panel, { name, side, names, colours }, group) {
    Object.assign(this, { panel, name, side, names, colours, kind: 2, tool: 'brush', undone: [] });
    this.canvas = make('canvas', { width: side, height: side, className: 'p2p-image' });
    this.pen = this.canvas.getContext('2d');
    this.cursor = make('div', { className: 'p2p-box p2p-over', hidden: true });
    this.classes = new Uint8Array(side * side);
    this.at = [side >> 1, side >> 1];
    const palette = names.map((words, kind) => this.pick(words, () => { this.kind = kind; }, colours[kind]));
    const tools = Object.keys(TOOLS).map(tool => this.pick(tool, () => { this.tool = tool; }));
    this.palette = make('div', { className: 'p2p-palette', role: 'group', 'aria-label': 'class to paint' }, ...palette);
    const bar = make('div', { className: 'p2p-buttons', role: 'group', 'aria-label': 'tool' }, ...tools);
    const undo = make('button', { type: 'button' }, 'undo');
    undo.onclick = () => this.undo();
    const clear = make('button', { type: 'button' }, 'clear');
    clear.onclick = () => this.stroke(() => this.classes.fill(0));
    group.append(this.palette, bar, make('div', { className: 'p2p-buttons' }, undo, clear));
    this.press(palette, palette[this.kind]);
    this.press(tools, tools[1]);
  }

  /** Make one of several buttons of which one is pressed. */
  pick(words, act, colour) {
    const button = make('button', { type: 'button' }, words);
    if (colour) {
      const patch = make('i');
      patch.style.background = `rgb(${colour})`;
      button.prepend(patch);
    }
    button.onclick = () => {
      act();
      this.press([...button.parentElement.children], button);
    };
    return button;
  }

  press(buttons, pressed) {
    for (const each of buttons) each.setAttribute('aria-pressed', each === pressed);
  }

  /** Listen to the place where the map lies, and return what to put there. */
  attach(place) {
    Object.assign(place, { tabIndex: 0 });
    place.setAttribute('role', 'application');
    place.setAttribute('aria-label', 'label map: paint with the mouse, or move with the arrow keys and paint with Space');
    place.classList.add('p2p-points');
    place.addEventListener('pointerdown', event => {
      place.setPointerCapture(event.pointerId);
      this.before = this.classes.slice();
      this.undone.push(this.before);
      this.from = this.cellAt(event);
      this.draw(this.from);
      event.preventDefault();
      place.focus({ preventScroll: true });
    });
    place.addEventListener('pointermove', event => {
      const at = this.cellAt(event);
      this.panel.say(this.names[this.classes[at[0] * this.side + at[1]]]);
      if (this.from) this.draw(at);
    });
    const end = () => { this.from = null; };
    place.addEventListener('pointerup', end);
    place.addEventListener('pointercancel', end);
    place.addEventListener('pointerleave', () => this.panel.say(''));
    place.addEventListener('keydown', event => this.key(event));
    return [this.canvas, this.cursor];
  }

  cellAt(event) {
    return placeOf(event, this.canvas).map(share => clip(Math.floor(share * this.side), 0, this.side - 1));
  }

  key(event) {
    const step = ARROWS[event.key];
    if (event.key === ' ') this.stroke(() => this.dab(this.at));
    else if (step) this.at = this.at.map((at, i) => clip(at + 4 * step[i], 0, this.side - 1));
    else return;
    keep(event);
    this.cursor.hidden = false;
    const [size, share] = [this.width(), value => percent(value / this.side)];
    Object.assign(this.cursor.style, {
      top: share(this.at[0] - (size >> 1)), left: share(this.at[1] - (size >> 1)), height: share(size), width: share(size),
    });
    this.panel.say(`row ${this.at[0]}, column ${this.at[1]}: ${this.names[this.classes[this.at[0] * this.side + this.at[1]]]}`);
  }

  width() {
    return TOOLS[this.tool] || 7;
  }

  stroke(act) {
    this.undone.push(this.classes.slice());
    act();
    this.sent();
  }

  undo() {
    if (!this.undone.length) return;
    this.classes = this.undone.pop();
    this.sent();
  }

  draw(at) {
    if (this.tool === 'fill') this.flood(at);
    else if (this.tool === 'rectangle') {
      this.classes = this.before.slice();
      const [top, left, bottom, right] = [0, 1].map(i => Math.min(this.from[i], at[i])).concat([0, 1].map(i => Math.max(this.from[i], at[i])));
      this.rectangle(top, left, bottom + 1, right + 1);
    } else {
      const way = [at[0] - this.from[0], at[1] - this.from[1]], steps = Math.max(1, ...way.map(Math.abs));
      for (let i = 0; i <= steps; i++) this.dab(this.from.map((start, k) => Math.round(start + (way[k] * i) / steps)));
      this.from = at;
    }
    this.sent();
  }

  dab([row, col]) {
    const half = this.width() >> 1;
    this.rectangle(row - half, col - half, row - half + this.width(), col - half + this.width());
  }

  rectangle(top, left, bottom, right) {
    for (let y = Math.max(0, top); y < Math.min(this.side, bottom); y++) {
      this.classes.fill(this.kind, y * this.side + Math.max(0, left), y * this.side + Math.min(this.side, right));
    }
  }

  /** Fill the connected pixels of one class. */
  flood([row, col]) {
    const side = this.side, old = this.classes[row * side + col], stack = [row * side + col];
    if (old === this.kind) return;
    while (stack.length) {
      const i = stack.pop(), x = i % side;
      if (this.classes[i] !== old) continue;
      this.classes[i] = this.kind;
      if (x > 0) stack.push(i - 1);
      if (x < side - 1) stack.push(i + 1);
      if (i >= side) stack.push(i - side);
      if (i < side * (side - 1)) stack.push(i + side);
    }
  }

  sent() {
    this.show();
    this.panel.link.ask({ set: { [this.name]: this.encoded = btoa(String.fromCharCode(...this.classes)) } });
  }

  load(encoded) {
    if (encoded === this.encoded) return;
    this.encoded = encoded;
    this.classes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0));
    this.show();
  }

  show() {
    const data = new ImageData(this.side, this.side);
    this.classes.forEach((kind, i) => data.data.set([...this.colours[kind], 255], 4 * i));
    this.pen.putImageData(data, 0, 0);
  }
}

export default { render };
