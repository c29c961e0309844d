// The log of a deploy: lines are appended by offset, in blocks that the browser skips while they are out of view, so
// that 50,000 lines scroll as smoothly as 50. Following pauses when a person scrolls up. Each line has an address.
(function () {
  "use strict";
  const BLOCK = 250;
  const WRAP = "ftpdeploy-log-wrap";
  document.addEventListener("DOMContentLoaded", function () {
    const log = document.getElementById("log");
    if (!log) return;
    const part = (name) => document.querySelector("[data-log-" + name + "]");
    const follow = part("follow");
    const toEnd = part("end");
    const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    let after = 0;
    let block = null;
    let inBlock = 0;
    let number = 0;
    let following = true;
    let started = false;
    let second = -1;
    let time = "";

    function atEnd() { return log.scrollHeight - log.scrollTop - log.clientHeight < 24; }
    function setFollowing(value) {
      following = value;
      follow.setAttribute("aria-pressed", String(value));
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
      if (atEnd()) { if (!following && !target) setFollowing(true); } else if (following) { if (up) setFollowing(false); else end(); }
      if (!following) toEnd.hidden = atEnd();
    }, { passive: true });
    function goToEnd() {
      end();
      requestAnimationFrame(end);
    }
    follow.addEventListener("click", function () { mark(null); setFollowing(!following); if (following) goToEnd(); });
    toEnd.addEventListener("click", function () { mark(null); setFollowing(true); goToEnd(); log.focus(); });

    // One line may be the target: of the address (#L12), or of "Next problem".
    let target = null;
    function mark(at) {
      log.querySelectorAll(".is-target").forEach((element) => element.classList.remove("is-target"));
      target = at;
      if (!at) return;
      let text = at.nextSibling;
      if (text.nodeType === 3) {
        const words = span("", text.data.replace(/\n$/, ""));
        text.replaceWith(words, "\n");
        text = words;
      }
      at.classList.add("is-target");
      text.classList.add("is-target");
      setFollowing(false);
      at.scrollIntoView({ block: "center", inline: "nearest" });
      requestAnimationFrame(() => at.scrollIntoView({ block: "center", inline: "nearest" }));
    }
    const wanted = () => Number(/^#L(\d+)$/.exec(location.hash)?.[1] || 0);
    const line = (which) => log.querySelector('[data-line="' + which + '"]');
    window.addEventListener("hashchange", () => { const at = line(wanted()); if (at) mark(at); });
    log.addEventListener("click", function (event) {
      const at = event.target.closest("[data-line]");
      if (!at || !document.getSelection().isCollapsed) return;
      history.replaceState(null, "", "#L" + at.dataset.line);
      mark(at);
    });

    const problems = part("problems");
    function count() {
      const found = log.getElementsByClassName("log-problem").length;
      problems.hidden = !found;
      part("problems-number").textContent = found.toLocaleString(window.ftpdeploy.language);
    }
    problems.addEventListener("click", function () {
      const all = [...log.getElementsByClassName("log-problem")].map((element) => element.previousSibling);
      const from = Number(target?.dataset.line || 0);
      mark(all.find((one) => Number(one.dataset.line) > from) || all[0]);
    });

    const wrap = part("wrap");
    function setWrap(value) {
      log.classList.toggle("wraps", value);
      wrap.setAttribute("aria-pressed", String(value));
      if (following) goToEnd();
    }
    function remembered() { try { return localStorage.getItem(WRAP); } catch { return null; } }
    wrap.addEventListener("click", function () {
      const value = !log.classList.contains("wraps");
      try { localStorage.setItem(WRAP, value ? "1" : "0"); } catch { /* private mode: it lasts for this page */ }
      setWrap(value);
    });
    part("copy").addEventListener("click", async function (event) {
      const button = event.currentTarget;
      const response = await fetch(part("download").href, { credentials: "same-origin" });
      if (!response.ok) return;
      await window.ftpdeploy.copyText(await response.text());
      window.ftpdeploy.copied(button);
    });

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
        const began = span("log-time", time + "  ");
        began.dataset.line = number += 1;
        began.title = log.dataset.lineTitle;
        fragment.append(began);
        if (level === "info") fragment.append(text + "\n");
        else fragment.append(span("log-" + level + (level === "debug" ? "" : " log-problem"), text), "\n");
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
      const before = number;
      append(news.lines);
      after = news.after;
      if (news.more) news.again = 0.05;
      if (wanted() > before && wanted() <= number) mark(line(wanted()));
      if (news.lines.length) count();
      if (following && news.lines.length) goToEnd();
      else if (news.lines.length) toEnd.hidden = atEnd();
    });
    setFollowing(!wanted());
    setWrap(remembered() === null ? window.matchMedia("(max-width: 767.98px)").matches : remembered() === "1");
  });
})();
