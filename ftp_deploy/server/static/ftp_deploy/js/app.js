// What every page does: the viewer's time zone, times that stay fresh, tooltips, menus, the dialog, copying.
(function () {
  "use strict";
  const language = document.documentElement.lang || "en";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const known = document.cookie.split("; ").find((part) => part.startsWith("ftpdeploy_zone="));
  const stale = !known || known.split("=")[1] !== zone;
  if (stale) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = "ftpdeploy_zone=" + zone + "; path=/; max-age=31536000; samesite=lax" + secure;
  }

  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "long" });
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const dayOnly = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
  function ago(moment) {
    const seconds = Math.round((moment - Date.now()) / 1000);
    const size = Math.abs(seconds);
    if (size < 45) return relative.format(0, "second");
    if (size < 3570) return relative.format(Math.round(seconds / 60), "minute");
    if (size < 84600) return relative.format(Math.round(seconds / 3600), "hour");
    if (size < 1296000) return relative.format(Math.round(seconds / 86400), "day");
    return dayOnly.format(moment);
  }
  function freshen(root) {
    root.querySelectorAll("time[datetime]:not([data-exact])").forEach(function (element) {
      const moment = new Date(element.dateTime);
      const text = element.hasAttribute("data-clock") ? clock.format(moment) : ago(moment);
      if (element.textContent !== text) element.textContent = text;
      element.title = exact.format(moment);
    });
  }
  setInterval(() => { if (!document.hidden) freshen(document); }, 30000);

  function tooltips(root) {
    root.querySelectorAll('[data-bs-toggle="tooltip"]').forEach((element) => window.bootstrap.Tooltip.getOrCreateInstance(element, { trigger: "hover focus", animation: false }));
  }
  function dropTooltips() {
    document.querySelectorAll(".tooltip").forEach((element) => element.remove());
  }
  // Browsers give the clipboard to pages on https and on this machine alone; elsewhere the old way does it.
  async function copyText(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    const focused = document.activeElement;
    field.value = text;
    field.className = "visually-hidden";
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    focused?.focus();
  }
  function copied(button) {
    const label = button.querySelector("[data-copied]") || button;
    if (button.classList.contains("is-copied")) return;
    const before = label.textContent;
    label.textContent = button.dataset.copiedText;
    button.classList.add("is-copied");
    setTimeout(() => { label.textContent = before; button.classList.remove("is-copied"); }, 1500);
  }
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    dropTooltips();
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const text = copy.dataset.copy || document.querySelector(copy.dataset.copyFrom).textContent.trim();
      copyText(text).then(() => copied(copy));
    }
    const adds = event.target.closest("[data-add-row]");
    if (adds) {
      const total = adds.form.elements[adds.dataset.total];
      const place = adds.closest("section").querySelector("tbody");
      const row = document.createElement("tbody");
      row.innerHTML = document.getElementById(adds.dataset.addRow).innerHTML.replaceAll("__prefix__", total.value).replaceAll("__number__", String(Number(total.value) + 1));
      place.append(...row.children);
      total.value = Number(total.value) + 1;
      place.lastElementChild.querySelector("input[type=email]").focus();
    }
    if (event.target.closest("[data-dialog-close]")) {
      const dialog = document.getElementById("dialog");
      if (dialog?.open) { event.preventDefault(); dialog.close(); }
    }
  });

  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (form.method !== "post" || form.matches("[hx-post]") || form.closest("[hx-post]")) return;
    if (form.classList.contains("is-sent")) { event.preventDefault(); return; }
    form.classList.add("is-sent");
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form.is-sent").forEach((form) => form.classList.remove("is-sent")));

  // The dialog opens at once and waits there; then it shows what htmx loads into it.
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (!event.detail.target.matches("[data-dialog-body]")) return;
    const dialog = document.getElementById("dialog");
    const asked = event.detail.xhr;
    event.detail.target.replaceChildren(document.getElementById("dialog-wait").content.cloneNode(true));
    if (!dialog.open) dialog.showModal();
    dialog.addEventListener("close", () => { if (asked.readyState < 4) asked.abort(); }, { once: true });
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    const target = event.detail.target;
    if (target.matches("[data-dialog-body]")) {
      const dialog = document.getElementById("dialog");
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
      if (!dialog.contains(document.activeElement) || document.activeElement === dialog) dialog.querySelector("[data-dialog-close]")?.focus();
    }
  });
  document.addEventListener("htmx:beforeSwap", dropTooltips);
  document.addEventListener("htmx:afterSettle", (event) => ready(event.detail.target));
  function failed(event, lost) {
    if (event.detail.target?.matches("[data-dialog-body]")) document.getElementById("dialog").close();
    if (lost) say(true);
    else document.querySelector("[data-failed]").hidden = false;
  }
  document.addEventListener("htmx:responseError", (event) => failed(event, false));
  document.addEventListener("htmx:sendError", (event) => failed(event, true));
  document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) say(false); });
  function say(lost) {
    if (!lost) document.querySelectorAll("[data-failed]").forEach((element) => { element.hidden = true; });
    const note = document.querySelector("[data-connection]");
    if (note) note.hidden = !lost;
  }

  function ready(root) {
    const scope = root && root.isConnected ? root.parentElement || root : document;
    freshen(scope);
    tooltips(scope);
  }
  window.ftpdeploy = { ready, freshen, dropTooltips, say, copyText, copied, language };
  document.addEventListener("DOMContentLoaded", () => ready(document.documentElement));
})();
