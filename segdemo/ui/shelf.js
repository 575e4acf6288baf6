// The pictures that this project made, to be picked.
for (const [index, { name, picture }] of props.value.entries()) {
  const image = Object.assign(make("img"), { src: picture, alt: t(`example_${name}`) });
  const button = Object.assign(make("button", "", image), { type: "button", title: image.alt });
  button.addEventListener("click", () => trigger("pick", { index }));
  $("div").append(button);
}
