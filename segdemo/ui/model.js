// The facts of a model's weights, and the curve of its training.
const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH, LEFT, BELOW] = [560, 200, 54, 28];

function svg(tag, attributes, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

// IoU on val after so many steps of training.
function curve(scored) {
  const steps = Math.max(...scored.map(({ step }) => step));
  const top = Math.min(1, Math.ceil(10 * Math.max(0.1, ...scored.map(({ val }) => val))) / 10);
  const x = (step) => LEFT + (step / steps) * (WIDE - LEFT - 8);
  const y = (val) => 8 + (1 - val / top) * (HIGH - BELOW - 8);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": t("curve") });
  for (const val of [0, top / 2, top]) {
    drawing.append(svg("line", { x1: LEFT, x2: WIDE - 8, y1: y(val), y2: y(val), class: "rule" }));
    drawing.append(svg("text", { x: LEFT - 6, y: y(val) + 5, "text-anchor": "end" }, number(val, 2)));
  }
  for (const step of [0, steps])
    drawing.append(svg("text", { x: x(step), y: HIGH - 6, "text-anchor": step ? "end" : "start" }, number(step)));
  const line = scored.map(({ step, val }) => `${x(step)},${y(val)}`).join(" ");
  drawing.append(svg("polyline", { points: line }));
  for (const { step, val } of scored) drawing.append(svg("circle", { cx: x(step), cy: y(val), r: 3 }));
  return drawing;
}

function update() {
  const { error, title, rows = [], curve: points = [] } = props.value ?? {};
  $(".message").textContent = error ? say(error) : "";
  $("h2").textContent = title ?? "";
  $("dl").replaceChildren(...rows.flatMap(([key, value]) => [make("dt", "", t(key)), make("dd", "", say(value))]));
  $(".curve svg")?.remove();
  const scored = points.filter(({ val }) => val !== null);
  $(".curve").hidden = scored.length < 2;
  if (scored.length > 1) $(".curve").prepend(curve(scored));
}

watch("value", update);
update();
