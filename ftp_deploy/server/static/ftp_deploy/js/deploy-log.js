// The log of a deploy: lines are appended by offset, in blocks that the browser skips while they are out of view, so
// that 50,000 lines scroll as smoothly as 50. Following pauses when a person scrolls up.
(function () {
  "use strict";
  const BLOCK = 250;
  document.addEventListener("DOMContentLoaded", function () {
    const log = document.getElementById("log");
    if (!log) return;
    const follow = document.querySelector("[data-log-follow]");
    const toEnd = document.querySelector("[data-log-end]");
    const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    let after = 0;
    let block = null;
    let inBlock = 0;
    let following = true;
    let started = false;
    let second = -1;
    let time = "";

    function atEnd() { return log.scrollHeight - log.scrollTop - log.clientHeight < 24; }
    function setFollowing(value) {
      following = value;
      follow.setAttribute("aria-pressed", String(value));
      follow.classList.toggle("btn-soft", value);
      follow.classList.toggle("btn-quiet", !value);
      toEnd.hidden = value || atEnd();
    }
    function end() { log.scrollTop = log.scrollHeight; }
    // Only going up pauses: a log that grew, or whose blocks were measured anew, has not been scrolled by anybody.
    let top = 0;
    let height = 0;
    log.addEventListener("scroll", function () {
      const up = log.scrollTop < top - 2 && log.scrollHeight >= height;
      top = log.scrollTop;
      height = log.scrollHeight;
      if (atEnd()) { if (!following) setFollowing(true); } else if (following) { if (up) setFollowing(false); else end(); }
      if (!following) toEnd.hidden = atEnd();
    }, { passive: true });
    function goToEnd() {
      end();
      requestAnimationFrame(end);
    }
    follow.addEventListener("click", function () { setFollowing(!following); if (following) goToEnd(); });
    toEnd.addEventListener("click", function () { setFollowing(true); goToEnd(); log.focus(); });
    setFollowing(true);

    function span(name, text) {
      const element = document.createElement("span");
      element.className = name;
      element.textContent = text;
      return element;
    }
    function append(lines) {
      let fragment = document.createDocumentFragment();
      for (const [at, level, text] of lines) {
        if (!block || inBlock >= BLOCK) {
          if (block) { block.append(fragment); block.className = "full"; }
          fragment = document.createDocumentFragment();
          block = document.createElement("pre");
          log.append(block);
          inBlock = 0;
        }
        const now = Math.floor(at / 1000);
        if (now !== second) { second = now; time = clock.format(at); }
        fragment.append(span("log-time", time + "  "));
        if (level === "info") fragment.append(text + "\n");
        else fragment.append(span("log-" + level, text), "\n");
        inBlock += 1;
      }
      block?.append(fragment);
    }
    document.addEventListener("ftpdeploy:ask", function (event) {
      event.detail.url += (event.detail.url.includes("?") ? "&" : "?") + "after=" + after;
    });
    document.addEventListener("ftpdeploy:news", function (event) {
      const news = event.detail;
      if (!news.lines) return;
      if (!started && news.lines.length) { log.replaceChildren(); started = true; }
      append(news.lines);
      after = news.after;
      if (news.more) news.again = 0.05;
      if (following && news.lines.length) goToEnd();
      else if (news.lines.length) toEnd.hidden = atEnd();
    });
    if (following) goToEnd();
  });
})();
