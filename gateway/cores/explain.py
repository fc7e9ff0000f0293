"""Why a log line stands there, in words for a carer, Chinese and English: one sentence for each rule and event."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.cores.effects import Effect

LANGUAGES = ("en", "zh")

_SENTENCES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("alarm_raise", ""): (
        "Out of bed longer than allowed, and nobody was on the way back or with the resident.",
        "离床超过允许时间，且没有正在返床，也没有护理人员陪同。",
    ),
    ("alarm_clear", "superseded"): (
        "A new absence alarms; it takes the place of the old alarm that nobody answered.",
        "新的离床报警取代了之前无人应答的旧报警。",
    ),
    ("alarm_clear", "returned"): (
        "The resident has settled in bed again, so the alarm ends.",
        "住户已回床并安定，报警结束。",
    ),
    ("alarm_clear", "acked_after_return"): (
        "Somebody answered the alarm that was left standing after the return.",
        "返床后保留的报警已有人应答。",
    ),
    ("alarm_clear", "maintenance"): ("Maintenance began, which ends the alarm.", "开始维护，报警结束。"),
    ("alarm_clear", "away"): (
        "The resident was signed out as away, which ends the alarm.",
        "住户已登记外出，报警结束。",
    ),
    ("alarm_clear", "rule_disabled"): (
        "The leave-bed rule was switched off for this bed, which ends the alarm.",
        "此床的离床规则已关闭，报警结束。",
    ),
    ("alarm_clear", "unbound"): ("The belt was taken off this bed.", "此床的睡眠带已解绑。"),
    ("alarm_latched", ""): (
        "Back in bed and settled, but nobody answered: the alarm stays visible, silent, until somebody does.",
        "住户已回床安定，但无人应答：报警静音保留显示，直到有人应答。",
    ),
    ("ack", ""): ("Somebody answered the alarm.", "有人应答了报警。"),
    ("ack_ignored", ""): ("There was nothing to answer on this bed.", "此床没有需要应答的报警。"),
    ("escalate", ""): ("Still unanswered: one level more.", "仍无人应答：升一级。"),
    ("realarm", ""): (
        "Answered, but the resident is still out of bed: it calls again.",
        "已应答，但住户仍未回床：再次报警。",
    ),
    ("audio_on", ""): ("The alarm sounds.", "报警发声。"),
    ("audio_off", ""): ("The sound stops.", "报警停止发声。"),
    ("tech_raise", "belt_offline"): (
        "Nothing was heard from the belt for too long; this is technical, not an absence.",
        "太久没有收到睡眠带的信号；这是技术问题，不代表离床。",
    ),
    ("tech_raise", "radio_down"): (
        "All belts fell silent together: look at the gateway's radio, not at the belts.",
        "所有睡眠带同时失联：请检查网关的无线电，而不是睡眠带。",
    ),
    ("tech_raise", "maintenance_timeout"): (
        "Maintenance was not ended by hand; the bed is watched again once somebody has settled in it.",
        "维护未手动结束，已超时；住户安定后恢复监护。",
    ),
    ("tech_clear", "belt_offline"): (
        "The belt is heard again, or its silence no longer matters.",
        "睡眠带已恢复，或不再需要提示。",
    ),
    ("tech_clear", "radio_down"): ("A belt is heard again.", "已重新收到睡眠带信号。"),
    ("refused", "alarm_active"): ("Refused: answer the alarm on this bed first.", "已拒绝：请先应答此床的报警。"),
    ("refused", "window_empty"): (
        "Refused: a window that starts and ends at the same time is never open.",
        "已拒绝：起止时间相同的时段永远不会生效。",
    ),
    ("refused", "window_overlap"): ("Refused: two windows overlap.", "已拒绝：两个时段重叠。"),
    ("refused", "unknown_timezone"): ("Refused: there is no such time zone.", "已拒绝：没有这个时区。"),
    ("refused", "invalid"): ("Refused: a setting is not possible.", "已拒绝：设置无效。"),
    ("missed_alarm", ""): (
        "An absence over the allowed time ended before the gateway could know of it; nobody was alerted.",
        "有一次超时离床在网关得知之前已经结束，当时未能报警。",
    ),
    ("prealert", ""): ("The allowed time is nearly over.", "允许的离床时间即将结束。"),
    ("prealert_clear", ""): ("Back in bed before the alarm.", "报警前已回床。"),
    ("exit", ""): ("A resident who had settled has left the bed.", "已安定的住户离床。"),
    ("return", ""): ("Settled in bed again: this absence is over.", "已回床安定：本次离床结束。"),
    ("time_untrusted", ""): (
        "The gateway does not know the time: every window counts as open, with the smallest allowance.",
        "网关时间不可信：所有时段视为生效，并采用最短允许时间。",
    ),
    ("time_trusted", ""): ("The gateway knows the time again.", "网关时间已恢复可信。"),
    ("notice", "check_bed"): (
        "The belt has been unable to tell for a minute whether the bed is occupied: please look.",
        "一分钟内无法判断床上是否有人：请查看。",
    ),
    ("notice", "not_in_bed_by"): ("Not in bed by the time set for this resident.", "到设定时间仍未上床。"),
    ("notice", "not_up_by"): ("Still in bed at the time set for this resident.", "到设定时间仍未起床。"),
    ("notice", "repeated_exits"): ("Left the bed several times within a short while.", "短时间内多次离床。"),
    ("notice", "occupied_while_away"): (
        "Somebody lies in the bed of a resident who is away.",
        "住户外出期间床上有人。",
    ),
    ("notice", "reposition"): (
        "In bed for long without turning over: time to reposition.",
        "卧床较久未翻身：请协助翻身。",
    ),
    ("notice", "no_signal"): (
        "In bed, but without any heart or breath reading for a while.",
        "在床，但较长时间没有心率或呼吸读数。",
    ),
    ("notice", "hr_high"): (
        "Heart rate above the attention limit for a while (reference value).",
        "心率持续高于关注值（参考值）。",
    ),
    ("notice", "hr_low"): (
        "Heart rate below the attention limit for a while (reference value).",
        "心率持续低于关注值（参考值）。",
    ),
    ("notice", "rr_high"): (
        "Respiration above the attention limit for a while (reference value).",
        "呼吸持续高于关注值（参考值）。",
    ),
    ("notice", "rr_low"): (
        "Respiration below the attention limit for a while (reference value).",
        "呼吸持续低于关注值（参考值）。",
    ),
    ("notice_clear", ""): (
        "The reason for this notice is gone, or its rule is suspended.",
        "提示原因已消失，或相关规则已暂停。",
    ),
}  # fmt: skip

_SILENT = ("The belt is silent; by its last word the resident is out.", "睡眠带失联；最后状态为离床。")


def explain(effect: Effect, language: str = "en") -> str:
    """One sentence on why `effect` was decided, with its rule of LEAVE_BED.md; `language` en or zh."""
    chosen = LANGUAGES.index(language)
    sentences = _SENTENCES.get((effect.event, effect.detail)) or _SENTENCES.get((effect.event, ""))
    text = sentences[chosen] if sentences else effect.event
    if effect.reason == "silent":
        text += (" " if chosen == 0 else "") + _SILENT[chosen]
    if effect.rule.isdigit():
        return f"{text} [rule {effect.rule}]" if chosen == 0 else f"{text}［规则 {effect.rule}］"
    return f"{text} [other notices: {effect.rule}]" if chosen == 0 else f"{text}［其他提示：{effect.rule}］"
