"""What the leave-bed rules decide: the lines of a scenario's log (LEAVE_BED.md "Scenario file")."""

from __future__ import annotations

from dataclasses import dataclass

ALARM_RAISE = "alarm_raise"
ALARM_CLEAR = "alarm_clear"
ALARM_LATCHED = "alarm_latched"
ACK = "ack"
ACK_IGNORED = "ack_ignored"
ESCALATE = "escalate"
REALARM = "realarm"
AUDIO_ON = "audio_on"
AUDIO_OFF = "audio_off"
TECH_RAISE = "tech_raise"
TECH_CLEAR = "tech_clear"
REFUSED = "refused"
MISSED_ALARM = "missed_alarm"
NOTICE = "notice"
NOTICE_CLEAR = "notice_clear"
PREALERT = "prealert"
PREALERT_CLEAR = "prealert_clear"
EXIT = "exit"
RETURN = "return"
TIME_UNTRUSTED = "time_untrusted"
TIME_TRUSTED = "time_trusted"

WATCHED_BY_DEFAULT = (
    ALARM_RAISE, ALARM_CLEAR, ALARM_LATCHED, ACK, ACK_IGNORED, ESCALATE, REALARM, AUDIO_ON, AUDIO_OFF, TECH_RAISE,
    TECH_CLEAR, REFUSED, MISSED_ALARM, NOTICE, NOTICE_CLEAR, PREALERT, PREALERT_CLEAR,
)  # fmt: skip
ALL_EVENTS = (*WATCHED_BY_DEFAULT, EXIT, RETURN, TIME_UNTRUSTED, TIME_TRUSTED)

LAST_IN_THEIR_SECOND = (NOTICE, NOTICE_CLEAR)


@dataclass(frozen=True, slots=True)
class Effect:
    """One decision, at an instant of the elapsed clock (ms). `bed` None: the whole gateway.

    `event` and `detail` are the words of the log line. `rule` is the rule of LEAVE_BED.md that decided it ("9", or the
    heading of an unnumbered one: "prealert", "radio_down", ...). `reason` adds what the log line leaves out: `silent`
    for an alarm of a bed whose belt is not heard (rule 16), weak / moving / sensor for `no_signal`.
    """

    at_ms: int
    bed: str | None
    event: str
    detail: str = ""
    rule: str = ""
    reason: str = ""
