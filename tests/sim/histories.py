"""Random nights for the leave-bed rules: a seed makes one scenario, as `sleepbelt replay` reads it.

The beds are simulated physically (what the resident does while nobody listens is remembered by the belt and told
later), so that reports after a gap are mostly what a real belt would say; some belts reboot and tell less.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Event = dict[str, Any]
LIMIT_S = 4 * 3600

# (start, zone, in UTC): evenings, mornings and days of the clock change.
STARTS = [
    ("2026-11-23T21:10:00", "Asia/Shanghai", False),
    ("2026-11-23T21:40:00", "Asia/Shanghai", False),
    ("2026-11-23T23:00:00", "Asia/Shanghai", False),
    ("2026-11-24T01:00:00", "Asia/Shanghai", False),
    ("2026-11-28T04:30:00", "Asia/Shanghai", False),
    ("2026-11-28T12:00:00", "Asia/Shanghai", False),
    ("2026-10-24T22:40:00", "Europe/London", True),
    ("2027-03-27T23:30:00", "Europe/London", True),
    ("2026-11-01T04:30:00", "America/New_York", True),
    ("2026-10-24T22:30:00", "Europe/London", False),
    ("2026-10-03T13:30:00", "Australia/Lord_Howe", True),
    ("2027-04-03T13:10:00", "Australia/Lord_Howe", True),
    ("2026-09-06T02:30:00", "America/Santiago", True),
    ("2027-04-04T01:10:00", "America/Santiago", True),
]
START_WEIGHTS = [4, 4, 6, 4, 4, 2, 1, 1, 1, 0.7, 0.7, 0.7, 0.7, 0.7]
# Weights of pauses: same second, short, medium, at the edge of a setting, long, very long.
TEMPOS = [(3, 30, 25, 15, 20, 7), (3, 30, 25, 15, 20, 7), (8, 50, 20, 18, 3, 1), (1, 5, 15, 14, 40, 25)]
WINDOW_SETS: list[list[Event]] = [
    [{"days": "1234567", "start": "22:00", "end": "06:00", "allowed_s": 300}],
    [{"days": "1234567", "start": "22:00", "end": "06:00", "allowed_s": 0}],
    [{"days": "1234567", "start": "21:30", "end": "23:30", "allowed_s": 240}],
    [{"days": "1234567", "start": "22:00", "end": "02:00", "allowed_s": 600},
     {"days": "1234567", "start": "02:00", "end": "05:30", "allowed_s": 120}],
    [{"days": "12345", "start": "22:00", "end": "06:00", "allowed_s": 900},
     {"days": "67", "start": "23:00", "end": "05:00", "allowed_s": 60}],
    [{"days": "1234567", "all_day": True, "allowed_s": 400}],
    [{"days": "1234567", "start": "01:30", "end": "05:00", "allowed_s": 200},
     {"days": "1234567", "start": "12:30", "end": "14:00", "allowed_s": 100}],
    [{"days": "1234567", "start": "23:00", "end": "01:30", "allowed_s": 200},
     {"days": "1234567", "start": "03:00", "end": "21:45", "allowed_s": 1000}],
]  # fmt: skip
BAD_WINDOWS: list[list[Event]] = [
    [{"days": "12", "start": "22:00", "end": "22:00", "allowed_s": 60}],
    [{"days": "1", "start": "22:00", "end": "06:00", "allowed_s": 60},
     {"days": "2", "start": "05:59", "end": "07:00", "allowed_s": 60}],
    [{"days": "7", "start": "23:00", "end": "02:00", "allowed_s": 60}, {"days": "1", "all_day": True, "allowed_s": 60}],
]  # fmt: skip

SETTINGS: list[tuple[str, list[Any]]] = [
    ("tail", ["run_out", "stop_at_end"]), ("latch", ["none", "visual"]), ("prealert_s", [0, 60]),
    ("priority", ["low", "high"]), ("exit_confirm_s", [3, 9]), ("entry_confirm_s", [4, 15]), ("settle_s", [40, 90]),
    ("carry_in_s", [0, 3600]), ("escalate_after_s", [60, 240]), ("max_level", [1, 2, 3]), ("realarm_s", [60, 900]),
    ("assist_s", [60, 900]), ("maintenance_max_s", [60, 900]), ("offline_after_s", [30, 120]), ("boot_wait_s", [0, 30]),
    ("repeat_count", [0, 2]), ("repeat_span_s", [600]), ("reposition_s", [0, 900]), ("no_signal_s", [0, 100]),
    ("not_up_lookback_s", [60]), ("require_vitals", [True, False]), ("hr_high", [95, None]), ("sustain_s", [30]),
    ("hr_low", [85, None]), ("rr_high", [12, None]), ("not_in_bed_by", ["23:30", "00:10", None]),
    ("not_up_by", ["23:40", "00:20", None]), ("exit_confirm_s", [0, 1]), ("entry_confirm_s", [0, 1]),
    ("settle_s", [0, 5]),
    ("windows", [[{"days": "1234567", "start": "22:00", "end": "06:00"}]]),
]  # fmt: skip
OF_VITALS = {"hr_high", "hr_low", "rr_high", "rr_low", "no_signal_s", "require_vitals"}


@dataclass
class Person:
    """One bed as it really is, and what the gateway can know of it."""

    name: str
    state: str
    changed_at: int
    linked: bool = True
    listening: bool = True
    last_heard: int = 0
    absences: list[tuple[int, int]] = field(default_factory=list)
    out_since: int | None = None
    empty_now: bool = False

    @property
    def heard(self) -> bool:
        return self.linked and self.listening


class Author:
    """Writes one scenario with its own random stream."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        start, self.zone, self.utc = self.rng.choices(STARTS, weights=START_WEIGHTS)[0]
        zone = UTC if self.utc else ZoneInfo(self.zone)
        self.start = datetime.fromisoformat(start).replace(tzinfo=zone)
        self.now = 0
        self.events: list[Event] = []
        self.gateway_up = True
        self.tempo = self.rng.choice(TEMPOS)
        self.oddness = self.rng.choice([0, 0, 4])
        names = self.rng.choices([["A"], ["A", "B"], ["A", "B", "C"]], weights=[70, 24, 6])[0]
        self.initial = self._initial()
        age = self.initial.get("state_age_s", 7200)
        state = self.initial.get("state", "occupied")
        self.people = [Person(name, state, -age, empty_now=state == "empty", out_since=-age) for name in names]
        self.profile = self._profile()
        self.vitals = bool(OF_VITALS & self.profile.keys())

    # -- choices ------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _initial(self) -> Event:
        kind = self.rng.choices(["default", "empty", "first", "fresh"], weights=[75, 8, 12, 5])[0]
        if kind == "default":
            return {}
        if kind == "empty":
            return {"state": "empty", "state_age_s": self.rng.choice([60, 4000, 20000]), "first_contact": False}
        if kind == "fresh":
            return {"state": "occupied", "state_age_s": self.rng.choice([12, 30, 59, 60, 100])}
        state = self.rng.choice(["empty", "empty", "occupied", "unclear"])
        age = self.rng.choice([0, 2, 5, 40, 600, 3600, 3601, 9000])
        return {"state": state, "state_age_s": age, "first_contact": True}

    def _profile(self) -> Event:
        rng = self.rng
        options: dict[str, Callable[[], Any]] = {
            "windows": lambda: rng.choice(WINDOW_SETS),
            "allowed_s": lambda: rng.choice([0, 30, 120, 300, 600]),
            "exit_confirm_s": lambda: rng.choice([0, 3, 5, 5, 8, 8]),
            "entry_confirm_s": lambda: rng.choice([0, 5, 10, 10, 20, 20]),
            "settle_s": lambda: rng.choice([0, 30, 60, 60, 120, 120]),
            "carry_in_s": lambda: rng.choice([0, 600, 3600]),
            "tail": lambda: rng.choice(["stop_at_end", "run_out"]),
            "latch": lambda: rng.choice(["none", "visual"]),
            "escalate_after_s": lambda: rng.choice([30, 60, 180]),
            "max_level": lambda: rng.choice([1, 2, 3, 4]),
            "realarm_s": lambda: rng.choice([60, 120, 600]),
            "assist_s": lambda: rng.choice([60, 200, 900]),
            "maintenance_max_s": lambda: rng.choice([120, 600, 3600]),
            "offline_after_s": lambda: rng.choice([20, 60, 90]),
            "boot_wait_s": lambda: rng.choice([5, 15, 40]),
            "prealert_s": lambda: rng.choice([20, 60, 300]),
            "priority": lambda: rng.choice(["high", "low", "medium"]),
            "repeat_count": lambda: rng.choice([1, 2, 3]),
            "repeat_span_s": lambda: rng.choice([300, 1200, 7200]),
            "not_in_bed_by": lambda: self._minute(),
            "not_up_by": lambda: self._minute(),
            "not_up_lookback_s": lambda: rng.choice([60, 600, 3600]),
            "reposition_s": lambda: rng.choice([600, 1800, 7200]),
            "no_signal_s": lambda: rng.choice([30, 180]),
            "require_vitals": lambda: True,
            "hr_high": lambda: 100, "rr_low": lambda: 10, "hr_low": lambda: 95, "rr_high": lambda: 11,
            "sustain_s": lambda: rng.choice([20, 60]),
        }  # fmt: skip
        rare = {"reposition_s": 0.06, "no_signal_s": 0.06, "require_vitals": 0.08, "hr_high": 0.06, "rr_low": 0.04,
                "hr_low": 0.03, "rr_high": 0.03,
                "not_in_bed_by": 0.1, "not_up_by": 0.1, "repeat_count": 0.15, "allowed_s": 0.5,
                "windows": 0.4}  # fmt: skip
        if self.chance(0.05):
            return {}
        return {key: make() for key, make in options.items() if self.chance(rare.get(key, 0.3))}

    def _minute(self) -> str:
        moment = self.start.astimezone(ZoneInfo(self.zone)) + timedelta(minutes=self.rng.randrange(5, 120))
        return f"{moment:%H:%M}"

    def _pause(self) -> int:
        rng = self.rng
        kind = rng.choices(["same", "short", "medium", "edge", "long", "very"], weights=self.tempo)[0]
        if kind == "same":
            return 0
        if kind == "edge":
            return int(rng.choice([5, 10, 15, 50, 55, 60, 90, 120, 180, 300, 600]) + rng.choice([-1, 0, 0, 1]))
        bounds = {"short": (1, 15), "medium": (16, 100), "long": (100, 700), "very": (700, 2500)}
        return rng.randint(*bounds[kind])

    # -- writing --------------------------------------------------------------------------------------

    def at(self, second: int) -> str:
        moment = (self.start.astimezone(UTC) + timedelta(seconds=second)).astimezone(self.start.tzinfo)
        if self.utc:
            return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        if self.zone != "Asia/Shanghai":  # across a clock change only UTC is one time
            return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"{moment:%H:%M:%S}"

    def write(self, event: str, person: Person | None = None, **fields: Any) -> None:
        entry: Event = {"at": self.at(self.now), "event": event, **fields}
        if person is not None and len(self.people) > 1:
            entry["bed"] = person.name
        self.events.append(entry)

    def scenario(self) -> Event:
        actions = self.rng.randint(6, 40)
        for _ in range(actions):
            self.now += self._pause()
            if self.now >= LIMIT_S:
                break
            self._act(self.rng.choice(self.people))
        end = self.now + self.rng.choice([5, 60, 400, 1500, 3000])
        result: Event = {
            "id": f"H{self.seed}", "title": "random history", "timezone": self.zone,
            "start": f"{self.start:%Y-%m-%dT%H:%M:%S}" + ("Z" if self.utc else ""),
            "end": self.at(end), "profile": self.profile, "events": self.events, "watch": list(WATCH),
        }  # fmt: skip
        if self.utc or self.chance(0.1):
            result["times"] = "utc"
        if len(self.people) > 1:
            result["beds"] = [person.name for person in self.people]
        if self.initial:
            result["initial"] = self.initial
        return result

    def _act(self, person: Person) -> None:
        weights = {
            self._move: 26, self._bounce: 12, self._late: 3, self._sit: 5, self._doubt: 3,
            self._absence: 22, self._link: 12, self._gateway: 8,
            self._acknowledge: 5, self._assist: 4, self._maintenance: 3, self._away: 2, self._configure: 4,
            self._clock: 4, self._unbind: 0.5, self._vital: 12 if self.vitals else 1,
            self._odd: self.oddness,
        }  # fmt: skip
        self.rng.choices(list(weights), weights=list(weights.values()))[0](person)

    # -- the resident ---------------------------------------------------------------------------------

    def _become(self, person: Person, state: str, since: int) -> None:
        """Keep what the belt would remember: absences end when occupied; unclear moments inside belong to them."""
        if state == person.state:
            return
        if state == "empty" and not person.empty_now:
            person.out_since, person.empty_now = since, True
        elif state == "occupied" and person.empty_now:
            assert person.out_since is not None
            person.absences = [*person.absences, (person.out_since, since)][-8:]
            person.empty_now = False
        person.state, person.changed_at = state, since

    def _tell(self, person: Person, state: str, age: int = 0) -> None:
        self._become(person, state, self.now - age)
        if person.heard:
            self.write("occupancy", person, **self._state_fields(state, age))

    def _state_fields(self, state: str, age: int) -> Event:
        fields: Event = {"state": state}
        if age:
            fields["state_age_s"] = age
        if state == "occupied" and (self.profile.get("require_vitals") or self.chance(0.02)):
            fields["vitals_valid"] = self.chance(0.6)
        return fields

    def _other(self, person: Person) -> str:
        if self.chance(0.08):
            return "unclear"
        return "occupied" if person.state == "empty" else "empty"

    def _move(self, person: Person) -> None:
        self._tell(person, self._other(person))

    def _bounce(self, person: Person) -> None:
        """A touch, a roll-over dropout, a short stay or a moment of doubt."""
        state = person.state
        self._tell(person, self._other(person))
        self.now += self.rng.choice([1, 2, 3, 4, 5, 7, 9, 10, 11, 20, 40, 54, 55, 59, 60])
        self._tell(person, state)

    def _absence(self, person: Person) -> None:
        """In bed long enough to be armed, out about as long as is allowed, and what people then do."""
        if person.state != "occupied":
            self._tell(person, "occupied")
            self.now += self.rng.choice([61, 75, 130, 130])
        self._tell(person, "empty")
        allowed = self.profile.get("allowed_s", 300)
        self.now += max(1, allowed + self.rng.choice([-20, -1, 0, 1, 6, 30, 100, 400]))
        if self.chance(0.4):
            what = [self._acknowledge, self._acknowledge, self._assist, self._link, self._gateway, self._bounce,
                    self._maintenance, self._configure, self._unbind]  # fmt: skip
            self.rng.choice(what)(person)
            self.now += self._pause()
        if self.chance(0.6) and person.state == "empty":
            self._tell(person, "occupied")
            self.now += self.rng.choice([3, 12, 40, 56, 59, 60, 70, 130])

    def _sit(self, person: Person) -> None:
        """Out, back for less or more than it takes to settle, out again; perhaps answered or suspended meanwhile."""
        if person.state != "empty":
            self._tell(person, "empty")
            self.now += self.rng.choice([5, 6, 200, 400, 700])
        for _ in range(self.rng.randint(1, 3)):
            self._tell(person, "occupied")
            self.now += self.rng.choice([10, 11, 30, 50, 55, 59, 60, 61, 65])
            if self.chance(0.3):
                what = [self._acknowledge, self._assist, self._link, self._gateway, self._configure, self._maintenance]
                self.rng.choice(what)(person)
            self._tell(person, "empty")
            self.now += self.rng.choice([4, 5, 6, 20, 60, 180, 400])

    def _doubt(self, person: Person) -> None:
        """Unclear about as long as it takes to be told, with what may happen meanwhile."""
        state = person.state
        self._tell(person, "unclear")
        self.now += self.rng.choice([30, 59, 60, 61, 90])
        if self.chance(0.3):
            self.rng.choice([self._link, self._assist, self._maintenance, self._gateway, self._clock])(person)
            self.now += self.rng.choice([0, 1, 30, 60, 90])
        self._tell(person, self.rng.choice([state, "occupied", "empty"]))

    def _late(self, person: Person) -> None:
        longest = self.now - person.changed_at
        if longest > 2:
            self._tell(person, self._other(person), self.rng.randint(1, min(90, longest - 1)))

    # -- radio and gateway ----------------------------------------------------------------------------

    def _link(self, person: Person) -> None:
        if person.heard:
            person.last_heard, person.linked = self.now, False
            self.write("link_down", person)
            if self.chance(0.15):
                for other in self.people:
                    if other.heard:
                        self.now += self.rng.choice([0, 5, 30, 31])
                        other.last_heard, other.linked = self.now, False
                        self.write("link_down", other)
            if self.chance(0.6):
                self._gap(person)
        else:
            self._hear(person)

    def _gap(self, person: Person) -> None:
        """The resident moves about while the belt is silent."""
        for _ in range(self.rng.randint(0, 5)):
            self.now += max(1, self._pause())
            self._become(person, self._other(person), self.now)
        self.now += self._pause()

    def _hear(self, person: Person) -> None:
        if not self.gateway_up:
            return
        age = self.now - person.changed_at
        rebooted = self.chance(0.1)
        if rebooted:
            age = min(age, self.rng.randint(0, 200))
        kind = self.rng.choices(["link_up", "belt_report", "occupancy"], weights=[80, 15, 5])[0]
        person.linked = person.listening = True
        if kind == "occupancy":
            self.write("occupancy", person, **self._state_fields(person.state, age))
            return
        fields: Event = {"state": person.state, "state_age_s": age}
        if kind == "link_up" and not rebooted:
            told = [
                {"ended_ago_s": self.now - end, "duration_s": end - out}
                for out, end in person.absences
                if end > person.last_heard or self.chance(0.3)
            ]
            if self.chance(0.06):
                told = [self._untrue() for _ in range(self.rng.randint(1, 4))]
            if told:
                fields["finished_absences"] = told
        self.write(kind, person, **fields)
        self.now += 1

    def _untrue(self) -> Event:
        """A finished absence of a belt that lost its clock."""
        return {"ended_ago_s": self.rng.randint(0, 2000), "duration_s": self.rng.randint(0, 900)}

    def _gateway(self, person: Person) -> None:
        if not self.gateway_up:
            self._gateway_up()
            return
        self.write("gateway_down")
        self.gateway_up = False
        for other in self.people:
            if other.heard:
                other.last_heard = self.now
            other.listening = False
        for _ in range(self.rng.randint(0, 3)):
            self.now += max(1, self._pause())
            self._become(person, self._other(person), self.now)
        if self.chance(0.2):
            self._acknowledge(person)
        for _ in range(self.rng.randint(1, 4) if self.oddness else 0):
            self.now += self.rng.randint(0, 90)
            self._odd(person)
        self.now += max(1, self._pause())
        self._gateway_up()

    def _gateway_up(self) -> None:
        self.gateway_up = True
        self.write("gateway_up", clock_trusted=self.chance(0.75))
        for other in self.people:
            other.linked = False
            if self.chance(0.6):
                self.now += self.rng.choice([0, 1, 3, 5, 10, 14, 15, 16])
                self._hear(other)

    # -- people and settings --------------------------------------------------------------------------

    def _acknowledge(self, person: Person) -> None:
        self.write("wall_cancel" if self.chance(0.2) else "acknowledge", person)

    def _assist(self, person: Person) -> None:
        self.write("assist", person)

    def _maintenance(self, person: Person) -> None:
        self.write("maintenance_on", person)
        self.now += self._pause()
        if self.chance(0.4):
            self._bounce(person)
        if self.chance(0.7):
            self.write("maintenance_off", person)

    def _away(self, person: Person) -> None:
        self.write("away_on", person)
        self.now += self._pause()
        if self.chance(0.5):
            self._bounce(person)
        if self.chance(0.7):
            self.write("away_off", person)

    def _unbind(self, person: Person) -> None:
        if self.chance(0.5):
            self.write("unbind", person)

    def _configure(self, person: Person) -> None:
        rng = self.rng
        changes: list[Event] = [
            {"allowed_s": rng.choice([0, 60, 300, 1800])}, {"windows": rng.choice(WINDOW_SETS)}, {"windows": []},
            {"windows": rng.choice(BAD_WINDOWS)}, {"timezone": "Mars/Olympus"}, self._one_setting(),
        ]  # fmt: skip
        self.write("configure", person, profile=rng.choices(changes, weights=[6, 6, 3, 1, 0.5, 5])[0])

    def _one_setting(self) -> Event:
        key, values = self.rng.choice(SETTINGS)
        return {key: self.rng.choice(values)}

    def _clock(self, person: Person) -> None:
        if self.chance(0.5):
            self.write("clock", trusted=self.chance(0.75))
        else:
            self.write("clock_step", by_s=self.rng.choice([-10800, -3600, -61, 7, 1800, 10800]))

    def _vital(self, person: Person) -> None:
        if not self.gateway_up or (not (person.heard and person.state == "occupied") and not self.chance(0.1)):
            return
        if self.chance(0.5):
            self.write("vitals", person, valid=self.chance(0.6))
            return
        for _ in range(self.rng.randint(1, 5)):
            rate, breath = self.rng.choice([(110, 14), (110, 8), (98, 11), (90, 12), (90, 9), (97, 10)])
            for _ in range(self.rng.randint(1, 8)):
                sample: Event = {"valid": not self.chance(0.03), "heart_rate_bpm": rate,
                                 "respiration_per_min": breath, "quality": 20 if self.chance(0.1) else 90}  # fmt: skip
                for left_out in ("valid", "quality", "heart_rate_bpm"):
                    if self.chance(0.04):
                        del sample[left_out]
                self.write("vitals", person, **sample)
                self.now += self.rng.choice([5, 10, 10, 10, 12, 30])
            if self.chance(0.1):
                self._link(person)
                self.now += self.rng.choice([1, 8, 10, 20])

    def _odd(self, person: Person) -> None:
        """What no careful author writes: reports nobody asked for, from any state, in any mode."""
        rng = self.rng
        state = rng.choice(["empty", "occupied", "unclear"])
        age = rng.choice([0, 1, 4, 5, 9, 10, 30, 65, 500, 4000])
        odd: list[tuple[str, Event]] = [
            ("occupancy", {"state": state}), ("occupancy", {"state": state, "state_age_s": age}),
            ("belt_report", {"state": state, "state_age_s": age}), ("link_up", {"state": state, "state_age_s": age}),
            ("link_up", {"state": state, "state_age_s": age, "finished_absences": [self._untrue(), self._untrue()]}),
            ("vitals", {"valid": self.chance(0.5)}), ("assist", {}), ("maintenance_on", {}), ("maintenance_off", {}),
            ("away_on", {}), ("away_off", {}), ("link_down", {}),
            ("configure", {"profile": {"allowed_s": rng.choice([0, 100, 1000])}}),
        ]  # fmt: skip
        event, fields = rng.choice(odd)
        self.write(event, person, **fields)
        if event == "link_down":
            person.linked, person.last_heard = False, self.now
        elif event in ("occupancy", "belt_report", "link_up") and self.gateway_up:
            person.linked = person.listening = True
            self._become(person, state, self.now)
            self.now += rng.choice([0, 1, 1])


WATCH = (
    "alarm_raise", "alarm_clear", "alarm_latched", "ack", "ack_ignored", "escalate", "realarm", "audio_on", "audio_off",
    "tech_raise", "tech_clear", "refused", "missed_alarm", "notice", "notice_clear", "prealert", "prealert_clear",
    "exit", "return", "time_untrusted", "time_trusted",
)  # fmt: skip


def history(seed: int) -> Event:
    """A valid scenario that depends on nothing but the seed."""
    return Author(seed).scenario()
