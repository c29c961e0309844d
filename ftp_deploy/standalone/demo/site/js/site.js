"use strict";
const place = document.querySelector("[data-opening]");
if (place) {
  const day = new Date().getDay();
  place.textContent = day === 1 ? "closed" : day === 0 || day === 6 ? "open 11 to 18" : "open 10 to 17";
}
