// The same answer from other programs: the page's own address, and the model that is chosen.
function update() {
  const place = location.origin + location.pathname.replace(/\/$/, "");
  for (const code of $$("pre code"))
    code.textContent = props.snippets[code.dataset.name].replaceAll("{place}", place).replaceAll("{model}", props.value);
}
for (const button of $$("button"))
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = t("copied");
    setTimeout(() => (button.textContent = t("copy")), 1500);
  });
watch("value", update);
update();
