// The charts of the statistics page; the same figures stand in tables below them.
(function () {
  "use strict";
  let drawn = [];
  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }
  function draw() {
    const source = document.getElementById("charts-data");
    if (!source) return;
    drawn.forEach((chart) => chart.destroy());
    const data = JSON.parse(source.textContent);
    const Chart = window.Chart;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    Chart.defaults.color = colour("ink-2");
    Chart.defaults.borderColor = colour("line");
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    const day = new Intl.DateTimeFormat(window.ftpdeploy.language, { day: "numeric", month: "short", timeZone: "UTC" });
    const base = { responsive: true, maintainAspectRatio: false, animation: still ? false : { duration: 250 }, interaction: { mode: "index", intersect: false } };
    const whole = { beginAtZero: true, ticks: { precision: 0, maxTicksLimit: 5 }, border: { display: false } };
    const across = { grid: { display: false }, ticks: { maxRotation: 0, autoSkip: true, autoSkipPadding: 16 } };
    drawn = [
      new Chart(document.getElementById("chart-days"), {
        type: "bar",
        data: {
          labels: data.days.map((one) => day.format(new Date(one))),
          datasets: data.outcomes.filter((one) => one.values.some(Boolean)).map((one) => ({ label: one.label, data: one.values, backgroundColor: colour(one.tone), borderRadius: 2, maxBarThickness: 28 })),
        },
        options: { ...base, scales: { x: { ...across, stacked: true }, y: { ...whole, stacked: true } }, plugins: { legend: { position: "bottom", labels: { boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2 } } } },
      }),
      new Chart(document.getElementById("chart-hours"), {
        type: "bar",
        data: { labels: data.hours.map((_value, hour) => String(hour).padStart(2, "0")), datasets: [{ label: data.deploys, data: data.hours, backgroundColor: colour("brand"), borderRadius: 2, maxBarThickness: 22 }] },
        options: { ...base, scales: { x: across, y: whole }, plugins: { legend: { display: false } } },
      }),
    ];
  }
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("ftpdeploy:theme", () => { if (drawn.length) draw(); });
})();
