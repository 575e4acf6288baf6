() => {
  // Gradio's own parts come in English, and Gradio knows no Vietnamese: replace the texts we know.
  const TEXTS = "TEXTS";
  const texts = TEXTS[(navigator.language || "en").slice(0, 2)] ?? {};
  const known = new Map(Object.entries(TEXTS.en).map(([key, text]) => [text, texts[key] ?? text]));
  const translate = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.currentNode; node; node = walker.nextNode()) {
      const text = node.nodeType === Node.TEXT_NODE ? node.data.trim() : "";
      const own = known.get(text);
      if (own && own !== text) node.data = node.data.replace(text, own);
    }
  };
  translate(document.body);
  new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) [target, ...addedNodes].forEach(translate);
  }).observe(document.body, { childList: true, characterData: true, subtree: true });

  // A camera that faces the visitor is shown as a mirror; what it takes is not (style.css).
  const mirror = ({ target }) => {
    const track = target.srcObject?.getVideoTracks?.()[0];
    if (track) target.classList.toggle("facing", track.getSettings().facingMode !== "environment");
  };
  document.addEventListener("playing", mirror, true); // it does not bubble
}
