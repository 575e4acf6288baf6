// Which model: one radio button each, with a line on what it finds. The value is the model's name.
const group = `models-${Math.random().toString(36).slice(2)}`;

for (const { name, title } of props.models) {
  const radio = Object.assign(make("input"), { type: "radio", name: group, value: name });
  radio.addEventListener("change", () => (props.value = name));
  $("fieldset").append(make("label", "", radio, make("span", "", make("strong", "", title), " ", t(`finds_${name}`))));
}

function update() {
  for (const radio of $$("input")) radio.checked = radio.value === props.value;
}
watch("value", update);
update();
