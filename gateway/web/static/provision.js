"use strict";
// Scans and taps go to the gateway's operations; the changing parts of the page come back as HTML, once a second.
(() => {
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const said = document.getElementById("said");
  let csrf = document.querySelector('meta[name="csrf"]').content;
  let bed = sessionStorage.getItem("bed") || "";
  let belt = sessionStorage.getItem("belt") || "";
  let chosen = sessionStorage.getItem("chosen") || "";  // the bed for the next scan; none after a belt has come to it
  let taken = "";
  let busy = 0;
  let pressed = "";
  let restarting = false;
  let asked = 0;  // answers overtake each other: of the parts, only what is newer than what is shown counts
  let shown = 0;
  let scans = Promise.resolve();

  // Scans are worked on in the order in which they were made: a belt goes to the bed that was scanned before it.
  const inTurn = (work) => {
    scans = scans.then(work).catch(() => say(texts.failed));
    return scans;
  };

  const say = (text, good) => {
    said.textContent = text;
    said.hidden = !text;
    said.classList.toggle("good", Boolean(good));
  };

  const remember = (newBed, newBelt, newChosen) => {
    bed = newBed;
    belt = newBelt;
    chosen = newChosen;
    sessionStorage.setItem("chosen", chosen);
    sessionStorage.setItem("bed", bed);
    sessionStorage.setItem("belt", belt);
  };

  const send = async (path, body, type) => {
    busy += 1;
    say(texts.working);
    try {
      const answer = await fetch(path, { method: "POST", body, headers: { "Content-Type": type, "X-CSRF-Token": csrf } });
      const content = await answer.json();
      if (!content.ok) {
        say(content.error.message);
        return null;
      }
      say(texts.done, true);
      return content.result;
    } catch {
      say(texts.failed);
      return null;
    } finally {
      busy -= 1;
      refresh();
    }
  };

  const scanned = (result) => {
    if (!result) return;
    if (result.kind === "bed") remember(result.bed, "", result.bed);
    else if (result.bound) remember(result.bed, "", "");
    else remember(result.bed || bed, result.belt, chosen);
    window.scrollTo(0, 0);
    refresh();
  };

  const listed = (rows) => {
    const list = document.createElement("ul");
    for (const row of rows) {
      const item = document.createElement("li");
      item.textContent = row;
      list.append(item);
    }
    return list;
  };

  const show = (rows) => document.getElementById("survey").replaceChildren(listed(rows));

  // A site file: first what it changes, then a tap; where beds go, a second one.
  const offer = async (text) => {
    const place = document.getElementById("site-said");
    place.replaceChildren();
    const result = await send("/api/provision/site", text, "text/plain");
    if (!result) return;
    const head = document.createElement("p");
    head.textContent = result.changes.length ? texts.site_changes : texts.site_same;
    place.append(head);
    if (!result.changes.length) return;
    const button = document.createElement("button");
    button.className = "button primary big";
    button.textContent = texts.site_apply;
    button.dataset.site = "1";
    let confirmed = !result.removes.length;
    button.addEventListener("click", async () => {
      if (!confirmed) {
        confirmed = true;
        button.textContent = texts.confirm_again;
        return;
      }
      const query = new URLSearchParams({ apply: "1", remove_beds: result.removes.length ? "1" : "0" });
      const done = await send(`/api/provision/site?${query}`, text, "text/plain");
      if (!done) return;
      place.replaceChildren();
      say(texts.site_applied, true);
      restarting = true;
    });
    place.append(listed(result.texts), button);
  };

  // The whole gateway goes: first the belts' new codes are saved here, then everything is erased.
  let leaveBelts = false;
  const wipe = async (button) => {
    if (!button.dataset.asked) {
      button.dataset.asked = button.textContent;
      button.textContent = texts.confirm_again;
      return;
    }
    button.textContent = button.dataset.asked;
    delete button.dataset.asked;
    const place = document.getElementById("wipe-said");
    const body = { gateway: document.getElementById("wipe-name").value, leave_belts: leaveBelts };
    const result = await send(`/api/provision/${button.dataset.wipe}`, JSON.stringify(body), "application/json");
    if (!result) return;
    if (result.ordered) {
      restarting = true;
      place.replaceChildren(listed([texts.wipe_ordered]));
      return;
    }
    leaveBelts = result.not_reached.length > 0;
    const rows = [texts.wipe_released.replace("{count}", result.released.length)];
    if (leaveBelts) rows.push(texts.wipe_missing.replace("{belts}", result.not_reached.map((row) => row.belt.toUpperCase()).join(", ")));
    place.replaceChildren(listed(rows));
    if (!result.released.length) return;
    const lines = ["serial,model,claim_secret", ...result.released.map((row) => [row.serial, row.model, row.claim_secret].join(","))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = link.textContent = "belts.csv";
    place.append(link);
    link.click();
  };

  const operate = async (button) => {
    if (button.dataset.confirm && !button.dataset.asked) {
      button.dataset.asked = "1";
      button.textContent = texts.confirm_again;
      return;
    }
    if (button.dataset.asked) {
      // Its part of the page may change again, and shows the button's own words if nothing else has.
      delete button.dataset.asked;
      delete button.closest("[data-part]").dataset.html;
    }
    const operation = button.dataset.op;
    if (operation === "calibrate") say(texts.calibrating);
    const result = await send(`/api/provision/${operation}`, button.dataset.args || "{}", "application/json");
    if (!result) return;
    if (operation === "bind") scanned(result);
    else if (operation === "survey") show(result.beds.map((row) => row.text || `${row.bed}: ${row.verdict}`));
    else if (operation === "calibrate") say(texts[`calibrated_${result.measured === "empty" ? "empty" : result.place || "empty"}`], true);
    else if (operation === "release" || operation === "decommission") remember(bed, "", chosen);
  };

  const refresh = async () => {
    const query = new URLSearchParams({ bed, belt });
    const selected = query.toString();
    asked += 1;
    const mine = asked;
    try {
      const answer = await fetch(`/api/provision/parts?${query}`);
      if (answer.status === 401) return location.assign("/login?back=/provision");
      if (!answer.ok) return;
      const parts = await answer.json();
      // Asked for another bed, or older than what is shown: the page never goes back.
      if (mine < shown || selected !== new URLSearchParams({ bed, belt }).toString()) return;
      shown = mine;
      for (const [name, html] of Object.entries(parts)) {
        const place = document.querySelector(`[data-part="${name}"]`);
        // A button that waits for its second tap stays as it is.
        if (place.dataset.html === html || place.querySelector("[data-asked]")) continue;
        const focused = place.contains(document.activeElement) ? document.activeElement.dataset.args : undefined;
        place.dataset.html = html;
        place.innerHTML = html;
        place.hidden = !html.trim();
        if (focused !== undefined) {
          for (const button of place.querySelectorAll("button")) if (button.dataset.args === focused) button.focus();
        }
      }
      const now = document.querySelector('[data-now="1"]');
      if (now && !busy && pressed !== belt) {
        pressed = belt;  // once: what was refused is for the technician to read
        operate(now);  // the belt itself said that it is here
      }
    } catch {
      if (!restarting) say(texts.failed);
    }
  };

  document.getElementById("site").addEventListener("change", async (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    if (file) offer(await file.text());
  });
  document.getElementById("batch").addEventListener("change", async (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    if (!file) return;
    const result = await send("/api/provision/batch", await file.text(), "text/csv");
    document.getElementById("batch-said").replaceChildren(...(result ? [listed(result.texts)] : []));
  });
  document.getElementById("picture").addEventListener("change", (event) => {
    const file = event.target.files[0];
    event.target.value = "";
    if (!file) return;
    inTurn(async () => {
      const query = new URLSearchParams({ bed: chosen });
      scanned(await send(`/api/provision/picture?${query}`, file, "application/octet-stream"));
    });
  });
  document.getElementById("typed").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("text");
    const text = field.value;
    inTurn(async () => {
      const result = await send("/api/provision/scan", JSON.stringify({ text, bed: chosen }), "application/json");
      if (result && field.value === text) field.value = "";
      scanned(result);
    });
  });
  document.getElementById("take").addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    const [serial, code] = [taken, document.getElementById("code").value];
    inTurn(async () => {
      const result = await send("/api/provision/claim", JSON.stringify({ belt: serial, code, bed: chosen }), "application/json");
      if (!result) return;
      form.reset();
      form.hidden = true;
      scanned(result);
    });
  });
  const backup = document.getElementById("backup");
  if (backup) backup.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = document.getElementById("passphrase");
    say(texts.working);
    try {
      const answer = await fetch("/api/provision/backup", { method: "POST", body: field.value, headers: { "Content-Type": "text/plain", "X-CSRF-Token": csrf } });
      if (!answer.ok) return say((await answer.json()).error.message);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = "gateway.sbbk";
      link.click();
      field.value = "";
      say(texts.done, true);
    } catch {
      say(texts.failed);
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.choose) {
      const body = JSON.stringify({ bed: button.dataset.choose });
      inTurn(async () => scanned(await send("/api/provision/choose", body, "application/json")));
    } else if (button.dataset.wipe) {
      wipe(button);
    } else if (button.dataset.take) {
      taken = button.dataset.take;
      document.getElementById("take-title").textContent = texts.take_title.replace("{belt}", taken.toUpperCase());
      document.getElementById("take").hidden = false;
      document.getElementById("code").focus();
    } else if (button.dataset.op) {
      operate(button);
    }
  });
  setInterval(() => { if (!document.hidden) refresh(); }, 1000);
  refresh();
})();
