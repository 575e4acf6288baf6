// Words in the language of the visitor: common.js has put them there.
// Through a public link of Gradio's, photos pass by its servers; in somebody else's page too.
const source = element.closest("gradio-app[src]")?.getAttribute("src") ?? "";
if (new URL(source, location).hostname.endsWith(".gradio.live"))
  for (const node of $$("[data-t=privacy]")) node.textContent = t("privacy_shared");
