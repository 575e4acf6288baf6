// A file that the server made: it is saved as soon as it is here.
watch("value", () => {
  if (!props.value) return;
  const link = Object.assign(make("a"), { href: props.value.url, download: props.value.orig_name });
  element.append(link);
  link.click();
  link.remove();
});
