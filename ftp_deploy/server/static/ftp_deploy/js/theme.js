// Runs before the page is painted: the theme that was chosen, or the system's.
(function () {
  "use strict";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function stored() {
    try { return localStorage.getItem("ftpdeploy-theme"); } catch { return null; }
  }
  function apply() {
    root.setAttribute("data-bs-theme", stored() || (system.matches ? "dark" : "light"));
    document.dispatchEvent(new CustomEvent("ftpdeploy:theme"));
  }
  root.classList.remove("no-js");
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("click", function (event) {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const next = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
    try { localStorage.setItem("ftpdeploy-theme", next); } catch { /* private mode: the choice lasts for this page */ }
    root.setAttribute("data-bs-theme", next);
    document.dispatchEvent(new CustomEvent("ftpdeploy:theme"));
  });
})();
