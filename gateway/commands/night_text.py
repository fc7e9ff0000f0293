"""A night report as lines for people, in English and Chinese; figures come from the report's JSON, so they agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EN = {
    "title": "Night to {night_of} ({timezone}), report version {report_version}",
    "no_night": "No night recorded: less than 60 minutes in bed inside the night window.",
    "provisional": "Provisional: the resident is still in bed.",
    "incomplete": "Data covers {coverage_percent} % of the night; counts are at least what is shown.",
    "unknown": "not known",
    "none": "none",
    "at_least": "at least {}",
    "hours": "{} h {:02d} min",
    "minutes": "{} min",
    "seconds": "{} s",
    "exact": "{} min {} s",
    "in_bed_at": "In bed at",
    "rise_at": "Final rise at",
    "night_span_s": "Bed entry to final rise",
    "time_in_bed_s": "Time in bed",
    "total_sleep_s": "Sleep duration (estimate)",
    "sleep_onset_latency_s": "Time to fall asleep (estimate)",
    "wake_after_sleep_onset_s": "Awake after falling asleep (estimate)",
    "sleep_efficiency_percent": "Sleep efficiency (estimate)",
    "awakenings": "Awakenings of 5 min or more (estimate)",
    "times_out_of_bed": "Times out of bed",
    "out_of_bed_total_s": "Out of bed in total",
    "out_of_bed_longest_s": "Longest time out of bed",
    "assisted_exits": "Exits during assistance",
    "turn_overs": "Turn-overs",
    "restlessness": "Restlessness",
    "per_hour": "{} movement minutes per hour in bed",
    "heart_rate_bpm": "Heart rate (reference value)",
    "respiration_per_min": "Breathing (reference value)",
    "rate": "mean {mean}, {min} to {max} per minute",
    "irregular_minutes": "Minutes with irregular rhythm",
    "weak_breath_minutes": "Minutes with weak breath (for attention)",
    "alarms": "Alarms",
    "alarms_value": "{count}, median response {response}",
    "no_data_s": "Without data",
    "coverage_percent": "Coverage",
    "usual": "Compared with the resident's own last complete nights (median, spread)",
    "usual_value": "{difference} against {median} (spread {spread}, {nights} nights)",
    "timeline": "Timeline",
    "in_bed_asleep": "in bed, asleep",
    "in_bed_awake": "in bed, awake",
    "in_bed": "in bed, sleep not known",
    "out": "out of bed",
    "no_data": "no data",
    "note": "Sleep is an estimate from movement, heart and breath, without EEG.",
    "curve_heart": "Heart rate, per minute (reference value)",
    "curve_breath": "Breathing, per minute (reference value)",
    "curve_movement": "Movement, seconds of each minute",
    "colon": ": ",
}
_ZH = {
    "title": "{night_of} 夜间报告（{timezone}），第 {report_version} 版",
    "no_night": "没有记录到夜间：夜间时段内在床不足 60 分钟。",
    "provisional": "临时报告：老人仍在床上。",
    "incomplete": "数据覆盖全夜的 {coverage_percent} %；次数为至少值。",
    "unknown": "未知",
    "none": "无",
    "at_least": "至少 {}",
    "hours": "{} 小时 {:02d} 分",
    "minutes": "{} 分钟",
    "seconds": "{} 秒",
    "exact": "{} 分 {} 秒",
    "in_bed_at": "上床时间",
    "rise_at": "起床时间",
    "night_span_s": "上床到起床",
    "time_in_bed_s": "在床时长",
    "total_sleep_s": "睡眠时长（估计）",
    "sleep_onset_latency_s": "入睡用时（估计）",
    "wake_after_sleep_onset_s": "入睡后清醒（估计）",
    "sleep_efficiency_percent": "睡眠效率（估计）",
    "awakenings": "5 分钟以上的醒来次数（估计）",
    "times_out_of_bed": "离床次数",
    "out_of_bed_total_s": "离床总时长",
    "out_of_bed_longest_s": "最长一次离床",
    "assisted_exits": "照护期间离床次数",
    "turn_overs": "翻身次数",
    "restlessness": "躁动程度",
    "per_hour": "在床每小时 {} 个体动分钟",
    "heart_rate_bpm": "心率（参考值）",
    "respiration_per_min": "呼吸（参考值）",
    "rate": "每分钟平均 {mean}，{min} 至 {max}",
    "irregular_minutes": "节律不齐的分钟数",
    "weak_breath_minutes": "呼吸微弱的分钟数（提请关注）",
    "alarms": "报警",
    "alarms_value": "{count} 次，响应时间中位数 {response}",
    "no_data_s": "无数据",
    "coverage_percent": "数据覆盖率",
    "usual": "与本人最近的完整夜间相比（中位数、离散度）",
    "usual_value": "{difference}，平时 {median}（离散度 {spread}，{nights} 夜）",
    "timeline": "时间线",
    "in_bed_asleep": "在床，睡着",
    "in_bed_awake": "在床，清醒",
    "in_bed": "在床，睡眠情况未知",
    "out": "离床",
    "no_data": "无数据",
    "note": "睡眠由体动、心率和呼吸估计得出，没有脑电图。",
    "curve_heart": "心率，每分钟（参考值）",
    "curve_breath": "呼吸，每分钟（参考值）",
    "curve_movement": "体动，每分钟内的秒数",
    "colon": "：",
}
TEXTS = {"en": _EN, "zh": _ZH}

_ROWS = (
    *("in_bed_at", "rise_at", "night_span_s", "time_in_bed_s", "total_sleep_s", "sleep_onset_latency_s"),
    *("wake_after_sleep_onset_s", "sleep_efficiency_percent", "awakenings", "times_out_of_bed", "out_of_bed_total_s"),
    *("out_of_bed_longest_s", "assisted_exits", "turn_overs", "restlessness", "heart_rate_bpm", "respiration_per_min"),
    *("irregular_minutes", "weak_breath_minutes", "alarms", "no_data_s", "coverage_percent"),
)
_COUNTS = frozenset(
    ("times_out_of_bed", "assisted_exits", "turn_overs", "awakenings", "irregular_minutes", "weak_breath_minutes")
)


def rows(night: Mapping[str, Any], lang: str) -> list[tuple[str, str]]:
    """(label, value) of every figure of a report's JSON, for text and PDF alike; lang "en" or "zh"."""
    return [(TEXTS[lang][name], _value(name, night, TEXTS[lang])) for name in _ROWS]


def remarks(night: Mapping[str, Any], lang: str) -> list[str]:
    """What the reader must know before the figures: title, provisional, coverage."""
    text = TEXTS[lang]
    lines = [text["title"].format(**night)]
    if night["provisional"]:
        lines.append(text["provisional"])
    if not night["complete"]:
        lines.append(text["incomplete"].format(**night))
    return lines


def comparisons(night: Mapping[str, Any], lang: str) -> list[tuple[str, str]]:
    """(label, value) of the figures that can be compared with the usual ones; empty before 5 nights."""
    text = TEXTS[lang]
    lines = []
    for name, usual in (night["versus_usual"] or {}).items():
        if usual is not None and usual["difference"] is not None:
            shown = {key: _quantity(name, usual[key], text) for key in ("median", "spread")}
            sign = "-" if usual["difference"] < 0 else "+"
            shown["difference"] = sign + _quantity(name, abs(usual["difference"]), text)
            lines.append((text[name], text["usual_value"].format(nights=usual["nights"], **shown)))
    return lines


def timeline(night: Mapping[str, Any], lang: str) -> list[tuple[str, str]]:
    """(from-to, state) of each interval of the night."""
    return [
        (f"{_clock(piece['start'])}-{_clock(piece['end'])}", TEXTS[lang][piece["state"]]) for piece in night["timeline"]
    ]


def text_report(answer: Mapping[str, Any], lang: str) -> str:
    """The answer of `sleepbelt night --json` as text; lang "en" or "zh"."""
    text = TEXTS[lang]
    night = answer["night"]
    if night is None:
        return text["no_night"]
    lines = [*remarks(night, lang), ""]
    lines += [f"  {label}{text['colon']}{value}" for label, value in rows(night, lang)]
    if compared := comparisons(night, lang):
        lines += ["", text["usual"], *(f"  {label}{text['colon']}{value}" for label, value in compared)]
    lines += ["", text["timeline"], *(f"  {when}  {state}" for when, state in timeline(night, lang))]
    return "\n".join([*lines, "", text["note"]])


def _value(name: str, night: Mapping[str, Any], text: Mapping[str, str]) -> str:
    value = night[name]
    if value is None:
        return text["unknown"]
    if name in ("in_bed_at", "rise_at"):
        return str(value).replace("T", " ")
    if name in ("heart_rate_bpm", "respiration_per_min"):
        return text["rate"].format(**value)
    if name == "alarms":
        response = value["response_time_median_s"]
        return text["alarms_value"].format(
            count=value["count"], response=text["none"] if response is None else _exact(response, text)
        )
    shown = _quantity(name, value, text)
    return text["at_least"].format(shown) if name in _COUNTS and not night["complete"] else shown


def _quantity(name: str, value: float, text: Mapping[str, str]) -> str:
    if name.endswith("_s"):
        return _duration(value, text)
    if name.endswith("_percent"):
        return f"{value} %"
    return text["per_hour"].format(value) if name == "restlessness" else f"{value:g}"


def _exact(seconds: float, text: Mapping[str, str]) -> str:
    """To the second below an hour, where people compare it with an allowance; as on the platform's page."""
    whole = int(seconds)
    return text["exact"].format(whole // 60, whole % 60) if 60 <= whole < 3600 else _duration(whole, text)


def _duration(seconds: float, text: Mapping[str, str]) -> str:
    if seconds < 60:
        return text["seconds"].format(int(seconds))
    minutes = int(seconds // 60)  # whole minutes that have passed, as on the platform's page
    return text["hours"].format(minutes // 60, minutes % 60) if minutes >= 60 else text["minutes"].format(minutes)


def _clock(local_iso: str) -> str:
    """`02:10:00`; with its offset where a clock change makes that reading ambiguous."""
    return local_iso[11:]
