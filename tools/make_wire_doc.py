"""Writes the tables of docs/wire-protocol.md from protocol/wire, between the markers; the prose around them is ours."""

from __future__ import annotations

from pathlib import Path

from protocol.wire import beacon, frames

TARGET = Path(__file__).parent.parent / "docs" / "wire-protocol.md"
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->"
TYPES = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "i": "i32"}


def _fields(layout: str, names: tuple[str, ...]) -> str:
    types, digits = [], ""
    for code in layout[1:]:
        if code.isdigit():
            digits += code
        else:
            types.append(f"{digits} bytes" if code == "s" else TYPES[code])
            digits = ""
    return ", ".join(f"`{name}` {kind}" for name, kind in zip(names, types, strict=True))


def _constants(prefix: str) -> str:
    found = [(getattr(frames, name), name) for name in dir(frames) if name.startswith(prefix)]
    return ", ".join(f"{value} `{name}`" for value, name in sorted(found) if isinstance(value, int))


def tables() -> str:
    """The Markdown between the markers."""
    lines = ["## Frames", "", "| kind | frame | fixed fields | tail |", "|---|---|---|---|"]
    for kind, (name, layout, names, tail) in sorted(frames.LAYOUTS.items()):
        lines.append(f"| 0x{kind:02X} | {name.upper()} | {_fields(layout, names)} | {'yes' if tail else ''} |")
    lines += ["", "Tails: RECORD a ring record's body (below); ABSENCES pairs of `ended_ago_s` u32, `duration_s` u32,",
              "oldest first; RAW int16 samples; RESULT a text; UPDATE_DATA the bytes at `offset`; UPDATE_END",
              "the signature.",
              "", "## Ring records", "", "| record_kind | record | body |", "|---|---|---|"]
    for kind, (name, layout, names) in sorted(frames.RECORDS.items()):
        lines.append(f"| {kind} | {name} | {_fields(layout, names)} |")
    lines += ["", "## Values", "", "| what | values |", "|---|---|",
              "| occupancy | 0 empty, 1 unclear, 2 occupied |",
              f"| reason of an absent value | {_constants('REASON_')} |",
              f"| flags | {_constants('FLAG_')} |", f"| command | {_constants('CMD_')} |",
              f"| status of a result | {_constants('STATUS_')} |", f"| refusal | {_constants('REFUSED_')} |",
              f"| configuration key | {_constants('KEY_')} |",
              "", f"Beacon content, in order: {', '.join(f'`{name}`' for name in beacon.FIELDS)}.", ""]
    return "\n".join(lines)


def updated(text: str) -> str:
    """The page with its tables written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, foot = rest.partition(END)
    return head + BEGIN + "\n" + tables() + "\n" + END + foot


if __name__ == "__main__":
    TARGET.write_text(updated(TARGET.read_text("utf-8")), "utf-8")
    print(f"wrote {TARGET}")
