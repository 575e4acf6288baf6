// A file that the server made: it is saved as soon as it is here.
watch("value", async () => {
  if (!props.value) return;
  const { url, orig_name: download } = props.value;
  // In a page of somebody else's a link to our file would be followed: only their own are saved.
  const theirs = new URL(url, location).origin !== location.origin;
  let href = url;
  try {
    if (theirs) href = URL.createObjectURL(await loaded(url));
  } catch ({ told = "not_loaded" }) {
    return document.dispatchEvent(new CustomEvent("not-saved", { detail: told })); // the viewer tells it
  }
  const link = Object.assign(make("a"), { href, download });
  element.append(link);
  link.click();
  link.remove();
  if (theirs) setTimeout(() => URL.revokeObjectURL(href), 60_000);
});
