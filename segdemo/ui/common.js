// What every part of the page that we draw ourselves starts with. `element`, `props`, `trigger`
// and `watch` come from Gradio; TEXTS (language -> key -> text) stands before this file.
const language = (navigator.language || "en").slice(0, 2);
const texts = { ...TEXTS.en, ...(TEXTS[language] ?? {}) };

// The text of a key in the visitor's language; {name} is replaced. What has no key stays as it is.
const t = (key, values = {}) =>
  (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// A text as Python sends it: a key, [key, values], or words that need no translation.
const say = (text) => (Array.isArray(text) ? t(...text) : t(text ?? ""));

// A sentence of the server, which may end with the id of the request.
const excuse = (sentence) => {
  const [, words, id = ""] = sentence.match(/^(.*?)( \(request \w+\))?$/s);
  return t(words) + id;
};

const $ = (selector) => element.querySelector(selector);
const $$ = (selector) => [...element.querySelectorAll(selector)];

const number = (value, digits = 0) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

// <tag class="name">, holding text or other nodes. Text never becomes HTML.
function make(tag, name = "", ...content) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...content);
  return node;
}

for (const node of $$("[data-t]")) node.textContent = t(node.dataset.t);
for (const node of $$("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
