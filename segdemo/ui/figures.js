// Sections of pictures with a caption each: comparing, scoring, looking inside. The value is
// { error } or { sections: [{ title, text, rows, figures: [{ picture, title, rows, text }], sheets }] };
// sheets: wide pictures with much in them.

// className: of a class, in place of a name.
function rowOf({ colour, name, className, value }) {
  const row = make("li", "", make("span", "", className ? thing(className) : say(name)), make("b", "", say(value)));
  if (colour) {
    const swatch = make("i");
    swatch.style.background = `rgb(${colour})`;
    row.prepend(swatch);
  }
  return row;
}

function figureOf({ picture, title, rows, text }) {
  const image = Object.assign(make("img"), { src: picture.url, alt: say(title), loading: "lazy" });
  const caption = make("figcaption", "", make("strong", "", say(title)));
  if (rows?.length) caption.append(make("ul", "rows", ...rows.map(rowOf)));
  if (text) caption.append(make("p", "", say(text)));
  return make("figure", "", image, caption);
}

function sectionOf({ title, text, rows, figures, sheets }) {
  const section = make("section", "", make("h3", "", say(title)));
  if (text) section.append(make("p", "", say(text)));
  if (rows?.length) section.append(make("ul", "rows", ...rows.map(rowOf)));
  section.append(make("div", sheets ? "grid sheets" : "grid", ...figures.map(figureOf)));
  return section;
}

function update() {
  const { error, sections } = props.value ?? {};
  $(".message").textContent = error ? say(error) : sections ? "" : t(props.waiting);
  $(".message").classList.toggle("wrong", Boolean(error));
  $(".told").textContent = (sections ?? []).map(({ title }) => say(title)).join(", "); // to be read out
  $(".sections").replaceChildren(...(sections ?? []).map(sectionOf));
}

watch("value", update);
update();
