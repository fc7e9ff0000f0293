// Decodes protocol/vectors/batch.json as a stranger would, from docs/cloud-protocol.md, and compares with the values
// that stand there. Usage: node decode.mjs batch.json (in a folder with node_modules); prints what differs, as JSON.
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { decode } from "@msgpack/msgpack";
import { decompress } from "fzstd";

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const toHex = (data) => Buffer.from(data).toString("hex");
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

function message(data) {
  const plain = ZSTD.every((byte, i) => data[i] === byte) ? decompress(data) : data;
  return value(plain);
}

const value = (data) => decode(data, { useBigInt64: true });
// Integers beyond 32 bits arrive as BigInt; ours stay below 2**53.
const number = (x) => (typeof x === "bigint" ? Number(x) : x);
const plain = (x) => {
  if (typeof x === "bigint") return Number(x);
  if (Array.isArray(x)) return x.map(plain);
  if (x instanceof Uint8Array) return toHex(x);
  if (x !== null && typeof x === "object") return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]));
  return x;
};

const STAMP = "stamp";
const KINDS = {
  1: ["AlarmEvent", { 1: ["bed", ""], 2: ["at", STAMP], 3: ["event"], 4: ["detail", ""], 5: ["alarm_id", ""],
    6: ["belt", ""], 7: ["priority", ""], 8: ["level", 0], 9: ["rule", ""], 10: ["who", ""] }],
  2: ["NightReportItem", { 1: ["bed"], 2: ["at", STAMP], 3: ["night_of"], 4: ["version"], 5: ["report"] }],
  5: ["BeltEventItem", { 1: ["bed"], 2: ["belt"], 3: ["at", STAMP], 4: ["event"], 5: ["boot_id"], 6: ["uptime_ms"],
    7: ["seq", 0], 8: ["fields", {}] }],
  6: ["DeviceState", { 1: ["device"], 2: ["role"], 3: ["at", STAMP], 4: ["bed", ""], 5: ["fields", {}] }],
  7: ["GapReport", { 1: ["at", STAMP], 2: ["lane"], 3: ["epoch"], 4: ["first_seq"], 5: ["last_seq"], 6: ["reason"] }],
};
const MINUTE = { 1: ["occupied_s"], 2: ["empty_s"], 3: ["unclear_s"], 4: ["heart_rate_bpm", null],
  5: ["heart_rate_bpm_min", null], 6: ["heart_rate_bpm_max", null], 7: ["heart_valid_s", 0],
  8: ["respiration_per_min", null], 9: ["respiration_per_min_min", null], 10: ["respiration_per_min_max", null],
  11: ["respiration_valid_s", 0], 12: ["moving_first_half_s", 0], 13: ["moving_second_half_s", 0],
  14: ["turn_overs", 0], 15: ["irregular_s", 0], 16: ["weak_breath_s", 0], 17: ["fault_s", 0] };
const LIVE_BED = { 1: ["bed"], 2: ["state"], 3: ["belt", ""], 4: ["mode", "active"], 5: ["alarm", "none"],
  6: ["level", 0], 7: ["priority", ""], 8: ["out_since_utc_ms", 0], 9: ["heard_utc_ms", 0],
  10: ["heart_rate_bpm", null], 11: ["heart_reason", 1], 12: ["respiration_per_min", null],
  13: ["respiration_reason", 1], 14: ["movement", 0], 15: ["watched", true], 16: ["why_unwatched", ""],
  17: ["battery_percent", -1], 18: ["test_alarm_id", ""] };

const stamp = ([boot_id, elapsed_ms, utc_ms, trusted]) =>
  ({ boot_id: number(boot_id), elapsed_ms: number(elapsed_ms), utc_ms: number(utc_ms), trusted });

function fields(table, map) {
  return Object.fromEntries(Object.entries(table).map(([key, [name, fallback]]) => {
    if (!(key in map)) return [name, fallback];
    return [name, fallback === STAMP ? stamp(map[key]) : plain(map[key])];
  }));
}

function varints(data) {
  const found = [];
  let total = 0, factor = 1;
  for (const byte of data) {
    total += (byte & 0x7f) * factor;
    factor *= 128;
    if (byte < 0x80) { found.push(total); total = 0; factor = 1; }
  }
  return found;
}

// Kind 8: a reader of numbers that walks through all columns of a chunk.
const unzigzag = (n) => (n % 2 ? -(n + 1) / 2 : n / 2);

function steps(numbers, count) {
  if (!count) return [];
  const found = [];
  let last = numbers.shift(), distance;
  while ((distance = numbers.shift())) {
    for (let n = 0; n < distance; n++) found.push(last);
    last += unzigzag(numbers.shift());
  }
  while (found.length < count) found.push(last);
  return found;
}

function marks(numbers, count) {
  const found = Array(count).fill(0);
  let position = -1, distance;
  while (count && (distance = numbers.shift())) found[(position += distance)] = numbers.shift();
  return found;
}

function minuteOf(data) {
  const numbers = varints(data), next = () => numbers.shift() ?? 0, minute = {};
  for (const name of ["occupied_s", "empty_s", "unclear_s", "heart_valid_s", "respiration_valid_s"]) minute[name] = next();
  for (const name of ["heart_rate_bpm", "respiration_per_min"]) {
    const rate = next();
    minute[name] = rate ? rate - 1 : null;
    for (const end of ["_min", "_max"]) {
      const away = next();
      minute[name + end] = away ? unzigzag(away - 1) + Math.max(0, rate - 1) : null;
    }
  }
  for (const name of ["moving_first_half_s", "moving_second_half_s", "turn_overs", "irregular_s", "weak_breath_s",
    "fault_s"]) minute[name] = next();
  return minute;
}

function chunkColumns(map, count) {
  const numbers = varints(map[10] ?? []), present = (reasons) => reasons.filter((reason) => reason === 0).length;
  const occupancy = steps(numbers, count), why = steps(numbers, count);
  const heartReason = steps(numbers, count), heart = steps(numbers, present(heartReason));
  const heartQuality = steps(numbers, count);
  const breathReason = steps(numbers, count), breath = steps(numbers, present(breathReason));
  const breathQuality = steps(numbers, count);
  const movement = marks(numbers, count), turns = marks(numbers, count), flags = steps(numbers, count);
  return { occupancy, why, heartReason, heart, heartQuality, breathReason, breath, breathQuality, movement, turns, flags };
}

// Kind 4, as gateways sent it at first.
function runs(data, count) {
  if (data === undefined) return Array(count).fill(0);
  const pairs = varints(data), found = [];
  for (let i = 0; i < pairs.length; i += 2) for (let n = 0; n < pairs[i + 1]; n++) found.push(pairs[i]);
  return found;
}

function deltas(data) {
  let last = 0;
  return varints(data ?? []).map((zigzag) => (last += unzigzag(zigzag)));
}

function oldColumns(map, count) {
  const column = (key) => runs(map[key], count);
  return { occupancy: column(20), why: column(21), heartReason: column(22), heart: deltas(map[23]),
    heartQuality: column(24), breathReason: column(25), breath: deltas(map[26]), breathQuality: column(27),
    movement: column(28), turns: column(29), flags: column(30) };
}

function readings(start, span, packedGaps, columnsOf) {
  const gaps = varints(packedGaps ?? []), missing = new Set();
  for (let i = 0; i < gaps.length; i += 2) for (let n = 0; n < gaps[i + 1]; n++) missing.add(gaps[i] + n);
  const seconds = [...Array(span).keys()].filter((offset) => !missing.has(offset)).map((offset) => start + offset);
  const c = columnsOf(seconds.length);
  const rate = (rates, reason) => (reason === 0 ? rates.shift() : null);
  return seconds.map((second, i) => ({ second, occupancy: c.occupancy[i], occupancy_reason: c.why[i],
    heart_rate_bpm: rate(c.heart, c.heartReason[i]), heart_quality: c.heartQuality[i] * 10,
    heart_reason: c.heartReason[i], respiration_per_min: rate(c.breath, c.breathReason[i]),
    respiration_quality: c.breathQuality[i] * 10, respiration_reason: c.breathReason[i],
    movement: c.movement[i], turn_overs: c.turns[i], flags: c.flags[i] }));
}

function chunk(map) {
  const start = number(map[8]), span = map[6];
  return { bed: map[1], belt: map[2], boot_id: number(map[3]), start_second: start,
    start_utc_ms: number(map[4]) + 1000 * start, trusted: map[5], span_s: span,
    readings: readings(start, span, map[7], (count) => chunkColumns(map, count)),
    minute: 9 in map ? minuteOf(map[9]) : null };
}

function oldChunk(map) {
  const start = number(map[4]), span = map[7];
  return { bed: map[1], belt: map[2], boot_id: number(map[3]), start_second: start, start_utc_ms: number(map[5]),
    trusted: map[6], span_s: span, readings: readings(start, span, map[8], (count) => oldColumns(map, count)),
    minute: 9 in map ? fields(MINUTE, map[9]) : null };
}

function item(data) {
  const map = value(data);
  if (map[0] === 8) return ["VitalsChunk", chunk(map)];
  if (map[0] === 4) return ["VitalsChunk", oldChunk(map)];
  const [name, table] = KINDS[map[0]];
  return [name, fields(table, map)];
}

const vectors = JSON.parse(readFileSync(process.argv[2], "utf8"));
const wrong = [];
// What a default leaves out of the vectors (floats that are whole numbers) is the same number in JavaScript.
const check = (name, got, want) => { if (!isDeepStrictEqual(got, want)) wrong.push({ name, got, want }); };

for (const { name, kind, hex, sha256, value: want } of vectors.items) {
  const [gotKind, got] = item(bytes(hex));
  check(name, [gotKind, got], [kind, want]);
  check(`${name} hash`, createHash("sha256").update(bytes(hex)).digest("hex"), sha256);
}
const [version, gateway, epoch, seq, floor, items] = message(bytes(vectors.envelope.hex));
check("envelope", { gateway, epoch, seq: number(seq), floor: number(floor), items: plain(items) }, vectors.envelope.value);
check("version", version, 1);
for (const ack of vectors.acks) {
  const [, lane, ofEpoch, accepted, rejected, unreadable, rewind = 0] = message(bytes(ack.hex));
  const got = { lane, epoch: ofEpoch, accepted: plain(accepted), rejected: plain(rejected), unreadable: plain(unreadable) };
  check("ack", { ...got, rewind: number(rewind) }, ack.value);
}
const [, liveGateway, utcMs, trusted, beds] = message(bytes(vectors.live.hex));
check("live", { gateway: liveGateway, utc_ms: number(utcMs), trusted, beds: beds.map((bed) => fields(LIVE_BED, bed)) },
  vectors.live.value);
console.log(JSON.stringify({ checked: vectors.items.length + 3 + vectors.acks.length, wrong }));
