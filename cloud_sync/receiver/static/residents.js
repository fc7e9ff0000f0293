"use strict";
/* The platform's pages of residents: cards in place, and new alarms read out. */
(() => {
  const cards = document.getElementById("cards");
  const announce = document.getElementById("announce");
  const title = document.title;
  let known = new Set();
  let first = true;
  live.onState((state) => {
    if (cards && state.order) live.arrange(cards, state.order);
    if (!state.alarms) return;
    const fresh = state.alarms.filter((alarm) => !known.has(alarm.id));
    if (fresh.length && !first) announce.textContent = fresh.map((alarm) => alarm.text).join(" ");
    known = new Set(state.alarms.map((alarm) => alarm.id));
    first = false;
    document.title = known.size ? `(${known.size}) ! ${title}` : title;
  });
  live.connect(document.getElementById("residents-script").dataset.stream);
})();
