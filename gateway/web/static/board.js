"use strict";
/* The wall board: actions of the staff, the alarm tone, and what a screen reader is told. */
(() => {
  const tiles = document.getElementById("tiles");
  const announce = document.getElementById("announce");
  const toast = document.getElementById("toast");
  const soundButton = document.getElementById("sound");
  const soundBlocked = document.getElementById("sound-blocked");
  const texts = live.texts;
  const title = document.title;
  let toastTimer = 0;

  function say(message) {
    toast.textContent = message;
    toast.hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { toast.hidden = true; }, 6000);
  }

  /* -- actions -- */
  function sure(button) {
    if (!("twice" in button.dataset) || button.classList.contains("sure")) return true;
    const label = button.querySelector("span");
    const before = label.textContent;
    button.classList.add("sure");
    label.textContent = texts.confirm;
    setTimeout(() => { button.classList.remove("sure"); label.textContent = before; }, 4000);
    return false;
  }

  async function act(button) {
    if (!sure(button)) return;
    button.disabled = true;
    try {
      const path = `/api/beds/${encodeURIComponent(button.dataset.bed)}/${button.dataset.action}`;
      const csrf = document.querySelector('meta[name="csrf"]').content;
      const answer = await fetch(path, { method: "POST", headers: { "X-CSRF-Token": csrf }, signal: AbortSignal.timeout(8000) });
      const result = await answer.json();
      if (answer.status === 401) location.assign("/login?back=/");
      else say(result.ok ? texts.done : result.error.message);
    } catch {
      say(texts.failed);
    } finally {
      button.disabled = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button) act(button);
  });

  /* -- sound: allowed by the browser only after somebody touched the page; until then the page says so -- */
  const TONES = { // pulses [start s, frequency Hz], pause between bursts in s
    high: { pulses: [[0, 880], [.2, 988], [.4, 1175], [.75, 880], [.95, 988]], every: 4 },
    medium: { pulses: [[0, 784], [.3, 659], [.6, 784]], every: 7 },
    low: { pulses: [[0, 659], [.35, 523]], every: 15 },
  };
  let audio = null;
  let wanted = null; // {priority, level} of the most urgent unanswered alarm
  let nextBurstAt = 0;

  const sounding = () => audio !== null && audio.state === "running";

  function showSound() {
    const on = sounding();
    soundBlocked.hidden = on;
    soundButton.setAttribute("aria-pressed", String(on));
    soundButton.querySelector("span").textContent = on ? texts.sound_on : texts.sound_enable;
  }

  async function allowSound() {
    if (audio === null) {
      audio = new AudioContext();
      audio.onstatechange = showSound;
    }
    if (audio.state !== "running") await audio.resume().catch(() => {});
    showSound();
  }

  function burst() {
    if (!sounding() || wanted === null || audio.currentTime < nextBurstAt) return;
    const tone = TONES[wanted.priority] || TONES.medium;
    const loudness = Math.min(.9, .35 + .2 * wanted.level);
    for (const [at, frequency] of tone.pulses) {
      const from = audio.currentTime + .05 + at;
      const oscillator = audio.createOscillator();
      const gain = audio.createGain();
      oscillator.type = "triangle";
      oscillator.frequency.value = frequency;
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(loudness, from + .02);
      gain.gain.setValueAtTime(loudness, from + .13);
      gain.gain.linearRampToValueAtTime(0, from + .17);
      oscillator.connect(gain).connect(audio.destination);
      oscillator.start(from);
      oscillator.stop(from + .2);
    }
    nextBurstAt = audio.currentTime + tone.every;
    document.body.dataset.bursts = String(Number(document.body.dataset.bursts || 0) + 1);
  }

  for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, allowSound, { passive: true });
  soundButton.addEventListener("click", allowSound);
  setInterval(burst, 200);
  showSound();

  /* -- what changed -- */
  let known = new Map();
  live.onState((state) => {
    if (tiles) live.arrange(tiles, state.order);
    const now = new Map(state.alarms.map((alarm) => [`${alarm.bed} ${alarm.level}`, alarm]));
    const said = [...now].filter(([key]) => !known.has(key)).map(([, alarm]) => alarm.text);
    const beds = new Set(state.alarms.map((alarm) => alarm.bed));
    for (const alarm of known.values()) if (!beds.has(alarm.bed)) said.push(alarm.text_answered);
    if (said.length) announce.textContent = said.join(" ");
    known = now;
    const before = wanted;
    wanted = state.alarms[0] || null; // the server sends the most urgent first
    if (wanted && !before) nextBurstAt = 0;
    document.title = state.alarms.length ? `(${state.alarms.length}) ! ${title}` : title;
    burst();
  });
  live.connect("/stream");
})();
