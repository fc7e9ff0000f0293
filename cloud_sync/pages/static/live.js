"use strict";
/* Keeps a page live: one event stream, fragments replaced when the server sends new ones, times counted on between,
   and a notice over everything when the stream has been silent for 12 s. Shared by the wall board and the platform. */
const live = (() => {
  const LOST_AFTER_MS = 12000;
  const RETRY_MS = 3000;
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const lost = document.getElementById("lost");
  const lostFor = document.getElementById("lost-for");
  const listeners = [];
  let source = null;
  let heardAt = performance.now();
  let mark = null;
  let clock = { elapsedMs: 0, at: performance.now(), speed: 1, known: false };

  const elapsedNow = () => clock.elapsedMs + (performance.now() - clock.at) * clock.speed;

  function setClock(data) {
    if (typeof data.elapsed_ms !== "number") return;
    const at = performance.now();
    if (typeof data.speed === "number") {
      clock = { elapsedMs: data.elapsed_ms, at, speed: data.speed, known: true };
      return;
    }
    // A server that does not tell how fast its clock runs (compressed demonstrations) is measured between two messages.
    if (!mark) mark = { elapsedMs: data.elapsed_ms, at };
    let speed = clock.speed;
    if (at - mark.at > 2000) {
      speed = Math.max(0, (data.elapsed_ms - mark.elapsedMs) / (at - mark.at));
      mark = { elapsedMs: data.elapsed_ms, at };
    }
    clock = { elapsedMs: data.elapsed_ms, at, speed, known: true };
  }

  const two = (n) => String(n).padStart(2, "0");

  function clockText(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const h = Math.floor(s / 3600);
    return h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${two(Math.floor(s / 60))}:${two(s % 60)}`;
  }

  function calmText(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    if (h) return texts.hours_minutes.replace("{hours}", h).replace("{minutes}", m);
    return m ? texts.minutes.replace("{minutes}", m) : texts.seconds.replace("{seconds}", s);
  }

  function tick() {
    const now = elapsedNow();
    if (clock.known) {
      for (const e of document.querySelectorAll("[data-from],[data-to]")) {
        if (e.tagName === "PROGRESS") {
          e.value = Math.min(1, Math.max(0, (now - e.dataset.from) / (e.dataset.to - e.dataset.from)));
          continue;
        }
        // A countdown is rounded up, so that it shows 00:00 exactly when the time is over.
        const seconds = e.dataset.to ? Math.ceil((e.dataset.to - now) / 1000) : (now - e.dataset.from) / 1000;
        const text = "calm" in e.dataset ? calmText(seconds) : clockText(seconds);
        if (e.textContent !== text) e.textContent = text;
      }
    }
    const silent = performance.now() - heardAt;
    lost.hidden = silent < LOST_AFTER_MS;
    document.body.classList.toggle("is-lost", !lost.hidden);
    if (!lost.hidden) lostFor.textContent = calmText(silent / 1000);
  }

  function patch(fragments) {
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
    for (const [name, html] of Object.entries(fragments)) {
      const place = document.querySelector(`[data-fragment="${CSS.escape(name)}"]`);
      if (!place || place.dataset.html === html) continue;
      const open = [...place.querySelectorAll("details[open]")].map((d) => d.dataset.key);
      place.innerHTML = html;
      for (const key of open) {
        const details = place.querySelector(`details[data-key="${CSS.escape(key)}"]`);
        if (details) details.open = true;
      }
    }
    if (focused && document.activeElement.dataset.key !== focused) {
      const again = document.querySelector(`[data-key="${CSS.escape(focused)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function arrange(container, names) {
    const now = [...container.children].map((child) => child.dataset.name);
    if (now.length !== names.length || names.some((name) => !now.includes(name))) {
      location.reload();
      return;
    }
    if (now.join("\n") === names.join("\n")) return;
    const focused = document.activeElement;
    const byName = new Map([...container.children].map((child) => [child.dataset.name, child]));
    for (const name of names) container.append(byName.get(name));
    if (focused && focused !== document.body) focused.focus({ preventScroll: true });
  }

  /* The server refused the stream: too many pages (try again), or this visitor has to sign in (the page says how). */
  async function again(address) {
    try {
      const page = await fetch(location.href, { method: "HEAD", redirect: "manual" });
      if (page.type === "opaqueredirect") { location.reload(); return; }
    } catch { /* not there yet */ }
    connect(address);
  }

  function connect(address) {
    source = new EventSource(address);
    const heard = (handle) => (event) => {
      heardAt = performance.now();
      const data = JSON.parse(event.data);
      setClock(data);
      if (handle) handle(data);
      tick();
    };
    source.addEventListener("beat", heard(null));
    source.addEventListener("state", heard((data) => {
      if (data.csrf) document.querySelector('meta[name="csrf"]').content = data.csrf;
      patch(data.fragments || {});
      for (const listener of listeners) listener(data);
    }));
    source.addEventListener("reload", () => location.reload());
    source.onerror = () => {
      // The browser reconnects by itself, except after an answer that is not a stream.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => again(address), RETRY_MS);
    };
  }

  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 250);
  return { connect, arrange, texts, onState: (listener) => listeners.push(listener) };
})();
