// Keys for people who are here all day: "/" goes to the search, "g" and a letter to a page, "?" lists them. They can be
// switched off in that list, for speech input and slips (WCAG 2.1.4), and never act while somebody types.
(function () {
  "use strict";
  const OFF = "ftpdeploy-keys-off";
  const typing = "input, textarea, select, [contenteditable], .ts-wrapper";
  let after = 0;
  function isOff() { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } }
  function help() {
    const dialog = document.getElementById("dialog");
    dialog.querySelector("[data-dialog-body]").replaceChildren(document.getElementById("keys-help").content.cloneNode(true));
    dialog.querySelector("[data-keys-on]").checked = !isOff();
    if (!dialog.open) dialog.showModal();
  }
  document.addEventListener("click", function (event) {
    const opener = event.target.closest("[data-keys-help]");
    if (!opener) return;
    opener.closest("details")?.removeAttribute("open");
    help();
  });
  document.addEventListener("change", function (event) {
    if (!event.target.matches("[data-keys-on]")) return;
    try { localStorage.setItem(OFF, event.target.checked ? "0" : "1"); } catch { /* private mode: it cannot be kept */ }
  });
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isOff()) return;
    if (event.target.closest?.(typing) || document.querySelector("dialog[open]")) return;
    const page = Date.now() - after < 1500 && document.querySelector('[data-key="' + CSS.escape(event.key) + '"]');
    after = 0;
    if (page) page.click();
    else if (event.key === "g") { after = Date.now(); return; }
    else if (event.key === "?" && document.getElementById("keys-help")) help();
    else if (event.key === "/") {
      const field = document.querySelector("main input[type=search]");
      if (!field) return;
      field.focus();
      field.select();
    } else return;
    event.preventDefault();
  });
})();
