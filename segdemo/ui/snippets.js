// The same answer from other programs: the address of this page, which may be an element in somebody
// else's, and the model that is chosen.
const { origin, pathname } = new URL(element.closest("gradio-app[src]")?.getAttribute("src") ?? "", location);
const place = origin + pathname.replace(/\/$/, "");

function update() {
  for (const code of $$("pre code"))
    code.textContent = props.snippets[code.dataset.name].replaceAll("{place}", place).replaceAll("{model}", props.value);
}

let fading; // what was told last, to who hears the page
for (const section of $$("section")) {
  const code = section.querySelector("code");
  const words = make("span", "", t("copy"));
  const button = make("button", "", words, make("span", "unseen", ` ${section.querySelector("h3").textContent}`));
  button.type = "button";
  const tell = (key) => (words.textContent = $(".told").textContent = t(key));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      tell("copied");
    } catch {
      // No clipboard: the page came over plain http, or in a frame that may not have one.
      getSelection().selectAllChildren(code);
      tell("press_copy");
    }
    setTimeout(() => (words.textContent = t("copy")), 3000);
    clearTimeout(fading);
    fading = setTimeout(() => ($(".told").textContent = ""), 3000);
  });
  section.querySelector("pre").before(button);
}
watch("value", update);
update();
