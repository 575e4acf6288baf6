// Words in the language of the visitor: common.js has put them there.
// Through a public link of Gradio's, photos pass by its servers.
if (location.hostname.endsWith(".gradio.live"))
  for (const node of $$("[data-t=privacy]")) node.textContent = t("privacy_shared");
