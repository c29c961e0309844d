// The tab tells what the page shows, for who looks at another one: how far a deploy is, how it ended, what fails.
(function () {
  "use strict";
  let title = "";
  let plain = "";
  function shown() {
    const state = document.querySelector("#deploy-state .state");
    const bars = document.querySelectorAll("[data-progress] progress");
    const one = document.querySelector(".run-panel progress");
    const failing = document.querySelectorAll(".is-failing").length;
    if (one) return ["running", Number(one.value) ? one.value + " %" : "…"];
    if (bars.length) return ["running", failing ? "(" + failing + ")" : ""];
    if (state) {
      const tone = ["bad", "good"].find((name) => state.classList.contains("state-" + name));
      return [tone, state.textContent.trim()];
    }
    return failing ? ["bad", "(" + failing + ")"] : ["", ""];
  }
  function tell() {
    const icon = document.querySelector("link[rel=icon]");
    if (!title) { title = document.title; plain = icon.getAttribute("href"); }
    const [tone, words] = shown();
    const whole = words ? words + " " + title : title;
    if (document.title !== whole) document.title = whole;
    const href = (tone && icon.dataset[tone]) || plain;
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }
  window.ftpdeploy.tab = tell;
  document.addEventListener("DOMContentLoaded", tell);
  document.addEventListener("htmx:afterSettle", tell);
})();
