// Which model: one radio button each, with a line on what it finds. The value is the model's name.
const group = `models-${Math.random().toString(36).slice(2)}`;

for (const { name, title, finds } of props.models) {
  const radio = Object.assign(make("input"), { type: "radio", name: group, value: name });
  radio.addEventListener("change", () => (props.value = name));
  const words = texts[`finds_${name}`] ?? finds;
  $("fieldset").append(make("label", "", radio, make("span", "", make("strong", "", title), " ", words)));
}

function update() {
  for (const radio of $$("input")) radio.checked = radio.value === props.value;
}
watch("value", update);
update();
