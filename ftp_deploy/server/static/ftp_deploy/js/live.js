// Live parts. A page asks one small endpoint; when its version changes, the page itself is read again and its parts
// marked data-live-part are morphed in place, so that focus, selection and scrolling stay where they are.
(function () {
  "use strict";
  let timer = 0;
  let waits = 0;
  let running = false;

  const source = () => document.querySelector("[data-live]");
  function schedule(seconds) {
    clearTimeout(timer);
    if (!document.hidden && source()) timer = setTimeout(ask, seconds * 1000);
  }

  let tag = "";
  let asked = "";
  let again = 2;
  let wanted = ""; // the version that the page should show
  let over = false;
  const isBehind = () => Boolean(wanted) && wanted !== source()?.dataset.version;
  async function ask() {
    const element = source();
    if (!element || running || document.hidden) return;
    running = true;
    let next = again;
    try {
      let url = element.dataset.live;
      const more = new CustomEvent("ftpdeploy:ask", { detail: { url } });
      document.dispatchEvent(more);
      url = more.detail.url;
      const headers = asked === url && tag ? { "If-None-Match": tag } : {};
      const response = await fetch(url, { headers, credentials: "same-origin", cache: "no-store", redirect: "manual" });
      if (response.type === "opaqueredirect" || response.status === 403 || response.status === 404) {
        element.removeAttribute("data-live");
        window.ftpdeploy.say(false);
        document.querySelector(response.status === 404 ? "[data-gone]" : "[data-ended]").hidden = false;
        return;
      }
      if (response.status === 200) {
        const news = await response.json();
        tag = response.headers.get("ETag") || "";
        asked = url;
        next = again = news.again || 15;
        document.dispatchEvent(new CustomEvent("ftpdeploy:news", { detail: news }));
        bind(news);
        wanted = news.version || "";
        over = Boolean(news.final);
      } else if (response.status !== 304) {
        throw new Error(String(response.status));
      }
      if (wanted && wanted !== element.dataset.version) await reload(element, wanted);
      if (over && !isBehind()) source()?.removeAttribute("data-live");
      waits = 0;
      window.ftpdeploy.say(false);
    } catch {
      waits += 1;
      next = Math.min(2 ** waits, 30);
      if (waits > 1) window.ftpdeploy.say(true);
    } finally {
      running = false;
      schedule(next);
    }
  }

  function bind(news) {
    const all = news.progress || {};
    document.querySelectorAll("[data-progress]").forEach(function (box) {
      const values = all[box.dataset.progress];
      if (!values) return;
      box.querySelectorAll("[data-bind-value]").forEach(function (element) {
        const value = values[element.dataset.bindValue];
        if (Number(element.value) !== value) element.value = value;
      });
      box.querySelectorAll("[data-bind]").forEach(function (element) {
        const text = shown(element.dataset.bind, values[element.dataset.bind]);
        if (element.textContent !== text) element.textContent = text;
      });
    });
    window.ftpdeploy.tab();
  }
  function shown(name, value) {
    if (value === null || value === undefined) return "–";
    if (name.startsWith("bytes")) return bytes(value);
    if (name === "seconds_left") return duration(value);
    if (typeof value === "number") return value.toLocaleString(window.ftpdeploy.language);
    return value;
  }
  function bytes(value) {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
    let step = 0;
    while (value >= 1000 && step < units.length - 1) { value /= 1024; step += 1; }
    return new Intl.NumberFormat(window.ftpdeploy.language, { style: "unit", unit: units[step], unitDisplay: "short", maximumFractionDigits: step ? 1 : 0 }).format(value);
  }
  function duration(seconds) {
    const format = (value, unit) => new Intl.NumberFormat(window.ftpdeploy.language, { style: "unit", unit, unitDisplay: "short" }).format(value);
    if (seconds < 60) return format(Math.max(seconds, 1), "second");
    return format(Math.round(seconds / 60), "minute");
  }

  const busyTags = new Set(["INPUT", "TEXTAREA", "SELECT"]);
  function selectedIn(element) {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && element.contains(selection.anchorNode);
  }
  async function reload(element, version) {
    const response = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const parts = element.hasAttribute("data-live-part") || !document.querySelector("[data-live-part]") ? [element] : [...document.querySelectorAll("[data-live-part]")];
    let kept = false;
    for (const part of parts) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      if (selectedIn(part)) { kept = true; continue; } // the version stays old: it is tried again
      window.ftpdeploy.dropTooltips();
      window.Idiomorph.morph(part, fresh, {
        morphStyle: "outerHTML",
        ignoreActiveValue: true,
        callbacks: {
          beforeNodeMorphed(old) {
            if (old.nodeType !== 1) return true;
            if (old === document.activeElement && busyTags.has(old.tagName)) return false;
            return true;
          },
          // What a person opened stays open, and what was closed stays closed.
          beforeAttributeUpdated(name, old) { return !(name === "open" && old.tagName === "DETAILS"); },
        },
      });
    }
    const now = source();
    if (now) now.dataset.version = kept ? "" : version;
    window.htmx.process(document.getElementById("content"));
    window.ftpdeploy.ready(document.documentElement);
    window.ftpdeploy.tab();
  }

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) clearTimeout(timer);
    else ask();
  });
  document.addEventListener("selectionchange", function () {
    if (isBehind() && document.getSelection().isCollapsed) schedule(0.3);
  });
  window.addEventListener("focus", ask);
  window.addEventListener("online", ask);
  document.addEventListener("htmx:afterSettle", () => schedule(again));
  document.addEventListener("DOMContentLoaded", function () {
    again = 2;
    schedule(1);
  });
  window.ftpdeployShown = { bytes, duration };
})();
