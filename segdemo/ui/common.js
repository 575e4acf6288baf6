// What every part of the page that we draw ourselves starts from. It stands in the page's head,
// since Gradio runs that before any part, in other people's pages too.
window.segdemo = (() => {
  const TEXTS = "TEXTS"; // language -> key -> text
  const wanted = (navigator.language || "en").slice(0, 2);
  const language = wanted in TEXTS ? wanted : "en";
  // No prototype: a visitor's file may be called "constructor".
  const texts = Object.assign(Object.create(null), TEXTS.en, TEXTS[language]);

  const number = (value, digits = 0) =>
    Number(value).toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

  // The text of a key in the visitor's language; what has no key stays as it is. {name} is replaced,
  // {name:1} by a number with one decimal. If the first value is 1, the key may be one that ends in _1.
  function t(key, values = {}) {
    const one = Object.values(values)[0] === 1 && texts[`${key}_1`];
    return (one || (texts[key] ?? key)).replace(/\{(\w+)(?::(\d))?\}/g, (whole, name, digits) => {
      const value = values[name] ?? whole;
      return digits && !isNaN(value) ? number(value, Number(digits)) : value;
    });
  }

  // What a class is called; one of a model that we do not know has its own name.
  const thing = (name) => texts[`class_${name}`] ?? name;

  // Makes a function from English words that others send to the visitor's language: undefined for
  // words that it does not know. keys: which of our texts they may be. {name} in the English stands
  // for any words, which are translated in their turn, {thing} for a class; the id of the request may
  // follow.
  function translator(keys) {
    const patterns = Object.entries(TEXTS.en)
      .filter(([key]) => keys.test(key))
      .map(([key, english]) => {
        const plain = english.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
        return [key, RegExp(`^${plain.replace(/\{(\w+)\}/g, "(?<$1>.+?)")}(?<id> \\(request \\w+\\))?$`, "s")];
      });
    const translate = (words) => {
      for (const [key, pattern] of patterns) {
        const found = words.match(pattern);
        if (!found) continue;
        const { id = "", ...rest } = found.groups;
        const translated = (name, part) => (name === "thing" ? thing(part) : (translate(part) ?? t(part)));
        const values = Object.entries(rest).map(([name, part]) => [name, translated(name, part)]);
        return t(key, Object.fromEntries(values)) + id;
      }
    };
    return translate;
  }

  // A text as Python sends it: [key, values], a key, a sentence, or words that need no translation.
  const sentence = translator(/^(said_|gone$)/);
  const say = (text) => (Array.isArray(text) ? t(...text) : (sentence(text ?? "") ?? t(text ?? "")));

  // What the server keeps at `url`, a Blob. Else the error has `told`: the text to say so.
  async function loaded(url) {
    const reply = await fetch(url).catch(() => fetch(url)); // a network may be away for a moment
    if (!reply.ok) throw Object.assign(new Error(reply.statusText), { told: "gone" });
    return reply.blob();
  }

  // <tag class="name">, holding text or other nodes. Text never becomes HTML.
  function make(tag, name = "", ...content) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    node.append(...content);
    return node;
  }

  // The part inside `element`, its own words put in: how to find things in it.
  function part(element) {
    const $ = (selector) => element.querySelector(selector);
    const $$ = (selector) => [...element.querySelectorAll(selector)];
    for (const node of $$("[data-t]")) node.textContent = t(node.dataset.t);
    for (const node of $$("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
    return { $, $$ };
  }

  return { language, texts, number, t, thing, translator, say, loaded, make, part };
})();
