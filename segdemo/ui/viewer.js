// What a network found, painted in the browser: opacity, threshold, colours and views need neither
// the server nor the network again. The value is what answers.answer() returns.
const LEVELS = 200; // a pixel's probability is sent as a whole number of 1/200
const canvas = $("canvas");
const context = canvas.getContext("2d");
const root = $(".viewer");
const sliders = { opacity: $(".opacity input"), threshold: $(".threshold input"), divider: $(".divider") };
const style = { hidden: new Set(), colours: new Map() }; // by class name; of a photo, and for good
const rows = new Map(); // class name -> its line in the list
let shown = null; // what is on screen: { photo, first, sure, labels, edges, width, height, classes, binary }
let peek = false; // the photo alone, as long as a pointer or the space bar is down
let turn = 0; // counts the answers
let busy = false; // an answer is being decoded
let later = 0; // how many came meanwhile
let again = 0; // the timer by which the server is asked once more, while weights are fetched
let frames = []; // when the last answers came, for frames per second

sliders.opacity.value = props.opacity;
sliders.threshold.value = props.threshold;
const group = `views-${Math.random().toString(36).slice(2)}`;
for (const radio of $$(".views input")) radio.name = group;

const view = () => $(".views input:checked").value;
const hex = (rgb) => `#${rgb.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
const rgb = (code) => [1, 3, 5].map((i) => parseInt(code.slice(i, i + 2), 16));
const colourOf = (label) => style.colours.get(name(label)) ?? shown.classes[label].colour;
const name = (label) => shown.classes[label].name;
const visible = (label) => label > 0 && !style.hidden.has(name(label));

// The pixels of a picture, RGBA.
async function pixels(url) {
  const bitmap = await createImageBitmap(await loaded(url));
  const { width, height } = bitmap;
  const scratch = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  scratch.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: scratch.getImageData(0, 0, width, height).data };
}

// The values of a grey picture. Browsers that hide who somebody is change a pixel here and there, in
// one channel: two that agree are right.
function grey({ data }) {
  const values = new Uint8Array(data.length / 4);
  for (let i = 0, p = 0; i < values.length; i++, p += 4)
    values[i] = data[p] === data[p + 1] ? data[p] : data[p + 2];
  return values;
}

// Labels of the shown pixels, and how probable they are: for a model of one class both depend on
// the threshold.
function relabel() {
  const { first, width, height } = shown;
  if (shown.binary) {
    const least = Math.round(sliders.threshold.value * LEVELS);
    shown.labels = first.map((p) => (p >= least ? 1 : 0));
    shown.sure = first.map((p) => (p >= least ? p : LEVELS - p));
  } else shown.labels = first;
  shown.edges = outline(shown.labels, width, height, Math.max(1, Math.floor(Math.max(width, height) / 400)));
}

// 1 where another label is at most `reach` pixels away, to the side, above or below.
function outline(labels, width, height, reach) {
  const edges = new Uint8Array(labels.length);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      if (x + 1 < width && labels[i] !== labels[i + 1])
        for (let k = Math.max(0, x + 1 - reach); k <= Math.min(width - 1, x + reach); k++) edges[i - x + k] = 1;
      if (y + 1 < height && labels[i] !== labels[i + width])
        for (let k = Math.max(0, y + 1 - reach); k <= Math.min(height - 1, y + reach); k++) edges[k * width + x] = 1;
    }
  return edges;
}

// Dark for unsure, over blue and green to yellow for sure.
const HEAT = [[24, 12, 54], [62, 68, 137], [38, 130, 142], [53, 183, 121], [253, 231, 37]];
const heat = Uint8Array.from({ length: 3 * (LEVELS + 1) }, (_, i) => {
  const at = (Math.floor(i / 3) / LEVELS) * (HEAT.length - 1);
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  return HEAT[low][i % 3] + (HEAT[low + 1][i % 3] - HEAT[low][i % 3]) * (at - low);
});

// Draw before the next picture of the screen, once, however often a slider moved since the last.
let planned = false;
function draw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => ((planned = false), drawNow()));
}

function drawNow() {
  if (!shown) return;
  const { photo, labels, edges, sure, width, height, classes } = shown;
  const which = peek ? "photo" : view();
  const strength = which === "photo" ? 0 : Number(sliders.opacity.value);
  const from = which === "split" ? Math.round((sliders.divider.value / 100) * width) : 0;
  const line = which === "split" ? Math.ceil(width / 400) : 0; // pixels on each side of it
  const colours = classes.map((_, here) => colourOf(here));
  const seen = classes.map((_, here) => visible(here));
  const picture = new ImageData(photo.slice(), width, height);
  const out = picture.data;
  for (let i = 0, p = 0; i < labels.length; i++, p += 4) {
    const here = labels[i];
    if (line && Math.abs((i % width) - from + 0.5) < line) out[p] = out[p + 1] = out[p + 2] = 255;
    else if (which === "sure") {
      const level = 3 * sure[i];
      for (let c = 0; c < 3; c++) out[p + c] = heat[level + c];
    } else if (which === "cutout") {
      if (!seen[here]) out[p + 3] = 0;
    } else if (strength && seen[here] && i % width >= from) {
      const paint = colours[here];
      for (let c = 0; c < 3; c++) {
        const mixed = out[p + c] + (paint[c] - out[p + c]) * strength;
        out[p + c] = edges[i] ? 255 - (255 - mixed) / 3 : mixed;
      }
    }
  }
  if (canvas.width !== width || canvas.height !== height) {
    Object.assign(canvas, { width, height });
    root.style.setProperty("--aspect", width / height);
    canvas.style.imageRendering = Math.max(width, height) < 200 ? "pixelated" : ""; // enlarged a lot
  }
  context.putImageData(picture, 0, 0);
  root.dataset.view = view();
  root.dataset.drawn = Number(root.dataset.drawn ?? 0) + 1;
}

// What was found: a line for each class, with its share of the picture. Lines stay while their
// class does, and live in their place: somebody may be using their controls.
function list() {
  $(".point").textContent = ""; // it told of what was there before
  const counts = new Array(shown.classes.length).fill(0);
  for (const here of shown.labels) counts[here]++;
  const found = counts
    .map((count, here) => ({ here, part: (100 * count) / shown.labels.length }))
    .filter(({ here, part }) => here && part > 0);
  if (!props.live) found.sort((one, other) => other.part - one.part);
  const names = found.map(({ here }) => name(here));
  for (const [gone, line] of rows) if (!names.includes(gone)) line.remove(), rows.delete(gone);
  for (const [place, { here, part }] of found.entries()) {
    if (!rows.has(name(here))) rows.set(name(here), row(name(here)));
    const line = rows.get(name(here));
    if ($(".classes").children[place] !== line) $(".classes").insertBefore(line, $(".classes").children[place]);
    const [colour, share] = line.querySelectorAll("[type=color], b");
    line.querySelector("[type=checkbox]").checked = !style.hidden.has(name(here));
    if (colour.value !== hex(colourOf(here))) colour.value = hex(colourOf(here)); // another model's
    share.textContent = part < 0.05 ? t("percent_less", { part: 0.1 }) : t("percent", { part });
  }
  const only = shown.binary && thing(name(1));
  const count = shown.classes.length - 1;
  const none = found.length ? "" : only ? t("none_of", { thing: only }) : t("none_at_all", { count });
  if ($(".found").textContent === none) return;
  $(".found").textContent = none;
  if (props.live) $(".told").textContent = none;
}

function row(called) {
  const words = { thing: thing(called) };
  const show = Object.assign(make("input"), { type: "checkbox", checked: !style.hidden.has(called) });
  show.setAttribute("aria-label", t("show_class", words));
  show.addEventListener("change", () => {
    style.hidden[show.checked ? "delete" : "add"](called);
    draw();
  });
  const colour = Object.assign(make("input"), { type: "color" });
  colour.setAttribute("aria-label", t("colour_of", words));
  colour.addEventListener("input", () => {
    style.colours.set(called, rgb(colour.value));
    draw();
  });
  return make("li", "", colour, make("label", "", show, make("span", "", words.thing)), make("b"));
}

function tell() {
  for (const key of ["opacity", "threshold"])
    $(`.${key} b`).textContent = `${number(100 * sliders[key].value)} %`;
}

// A line on what it took; live, how many frames a second came in the last three.
function facts({ size, milliseconds, device }) {
  const all = Object.values(milliseconds).reduce((sum, part) => sum + part, 0);
  const now = performance.now();
  frames = [...frames.filter((then) => now - then < 3000), now];
  const rate = (1000 * (frames.length - 1)) / (frames.at(-1) - frames[0]);
  const values = {
    width: size[0], height: size[1], device,
    all: all / 1000, network: milliseconds.network / 1000, rate: rate || 0,
  };
  // The last frames may come when the camera has ended.
  const off = props.live && !document.querySelector("#camera video")?.srcObject?.active;
  $(".facts").textContent = t(off ? "camera_off" : props.live ? "facts_live" : "facts", values);
}

function message(text, state) {
  if (root.dataset.state === state && $(".message").textContent === text) return; // told already
  root.dataset.state = state;
  $(".message").textContent = text;
  if (state === "error" || !props.live) $(".told").textContent = state === "error" ? text : ""; // read out
}

// On a phone the answer lies below the photo.
function come() {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (root.getBoundingClientRect().top > 0.8 * innerHeight)
    root.scrollIntoView({ behavior: still ? "auto" : "smooth" });
}

// A frame of the live camera is on screen, or never will be: page.js lets the next one through.
function done() {
  if (!props.live) return;
  const given = Math.max(0, later - 1); // all but the last of those that came meanwhile are left out
  element.dispatchEvent(new CustomEvent("frames-done", { bubbles: true, detail: 1 + given }));
  later = 0;
}

async function update() {
  const value = props.value;
  const mine = ++turn;
  clearTimeout(again);
  if (!value?.photo) {
    shown = null;
    done();
    message(value?.error ? say(value.error) : t(props.waiting), value?.error ? "error" : "empty");
    if (value?.again) again = setTimeout(() => trigger("retry"), 1000);
    else if (value && !props.live) come();
    return;
  }
  // Frames may come faster than they are decoded: the latest is taken up when this one is done.
  if (props.live && busy) return later++;
  const begins = !shown;
  try {
    busy = true;
    const urls = [value.photo, value.map, ...(value.sure ? [value.sure] : [])].map((file) => file.url ?? file);
    const [photo, map, sure] = await Promise.all(urls.map(pixels));
    if (mine !== turn && !(props.live && props.value?.photo)) return; // a later answer has come
    const { classes, binary } = value;
    const same = () => shown?.width === photo.width && shown.photo.every((level, i) => level === photo.data[i]);
    if (!props.live && !same()) style.hidden.clear(); // else another photo would seem to hold nothing
    shown = { ...photo, photo: photo.data, first: grey(map), sure: sure && grey(sure), classes, binary };
  } catch ({ told = "not_loaded" }) {
    return mine === turn && message(t(told), "error");
  } finally {
    busy = false;
    done();
    if (props.live && mine !== turn) update();
  }
  $(".threshold").hidden = !value.binary;
  message("", "answer");
  relabel();
  list();
  facts(value);
  draw();
  if (begins || !props.live) come();
  if (props.live) return;
  const lines = $$(".classes li").map((line) => [...line.querySelectorAll("span, b")].map((part) => part.textContent));
  $(".told").textContent = lines.map((parts) => parts.join(" ")).join(", ") || $(".found").textContent;
}

for (const radio of $$(".views input")) radio.addEventListener("change", draw);
sliders.divider.addEventListener("input", draw);
sliders.opacity.addEventListener("input", () => (tell(), draw()));
let settling; // the server is told of the threshold when it rests, and a held key is at no rest
sliders.threshold.addEventListener("input", () => {
  tell();
  if (shown) relabel(), list(), draw();
  clearTimeout(settling);
  settling = setTimeout(() => trigger("settle"), 300);
});

let pressed; // a finger that rests: one that moves on scrolls or pinches, and the picture stays
const peeking = (on) => () => {
  clearTimeout(pressed);
  if (peek !== on) (peek = on), draw();
};
canvas.addEventListener("pointerdown", ({ button, pointerType }) => {
  if (button !== 0) return;
  if (pointerType === "touch") pressed = setTimeout(peeking(true), 150);
  else peeking(true)();
});
for (const end of ["pointerup", "pointerleave", "pointercancel"]) canvas.addEventListener(end, peeking(false));
canvas.addEventListener("keydown", (event) => {
  if (event.key !== " ") return;
  event.preventDefault();
  if (!event.repeat) peeking(true)();
});
canvas.addEventListener("keyup", peeking(false));
canvas.addEventListener("blur", peeking(false));

// What the pixel under the pointer is taken for.
const point = (event) => {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - left) / width) * shown.width);
  const y = Math.floor(((event.clientY - top) / height) * shown.height);
  // A finger that left the picture is still followed.
  if (Math.min(x, y) < 0 || x >= shown.width || y >= shown.height) return ($(".point").textContent = "");
  const here = shown.labels[y * shown.width + x];
  const part = (100 * shown.sure[y * shown.width + x]) / LEVELS;
  $(".point").textContent = t("point", { thing: here ? thing(name(here)) : t("background"), part });
};
// What is told beside a picture that stays on screen.
const note = (key) => root.dataset.state === "answer" && ($(".facts").textContent = $(".told").textContent = t(key));

if (!props.live) {
  document.addEventListener("not-saved", ({ detail }) => note(detail));
  canvas.addEventListener("pointermove", point);
  for (const end of ["pointerleave", "pointercancel"])
    canvas.addEventListener(end, () => ($(".point").textContent = ""));
}

// Downloads are made by the server, out of the photo at its full size.
for (const button of $$(".takes button"))
  button.addEventListener("click", () => {
    trigger("take", {
      what: button.value,
      threshold: Number(sliders.threshold.value),
      opacity: Number(sliders.opacity.value),
      hidden: [...style.hidden],
      colours: [...style.colours],
    });
  });

if (props.live) {
  $(".takes").remove();
  document.addEventListener("no-frames", () => message(t("waiting_long"), "error"));
  document.addEventListener("camera-off", () => note("camera_off"));
}
watch("value", update);
tell();
update();
