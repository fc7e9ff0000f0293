"""The cloud protocol's written contract: a JavaScript decoder made from docs/cloud-protocol.md agrees with ours."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from protocol.batch import Minute, Reading, VitalsChunk, body_hash, encode_item
from tests.protocol.batch_vectors import document, plain

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "node-decoder"


def decoded(vectors: Path) -> dict[str, Any]:
    assert (FOLDER / "node_modules" / "fzstd").is_dir(), f"{FOLDER} has no packages: run tools/setup.sh test"
    shutil.copy(ROOT / "tools" / "node_decoder" / "decode.mjs", FOLDER)
    done = subprocess.run(
        ["node", str(FOLDER / "decode.mjs"), str(vectors)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_vector_decodes_to_its_value_in_javascript() -> None:
    answer = decoded(ROOT / "protocol" / "vectors" / "batch.json")
    assert answer["wrong"] == []
    assert answer["checked"] >= 13


def test_random_chunks_decode_to_the_same_readings_in_javascript(tmp_path: Path) -> None:
    draw = random.Random(2)
    vectors = document()
    vectors["items"] = []
    for number in range(100):
        chunk = _random_chunk(draw)
        body = encode_item(chunk)
        vectors["items"].append(
            {"name": str(number), "kind": "VitalsChunk", "hex": body.hex(), "sha256": body_hash(body).hex(),
             "value": plain(chunk)}
        )  # fmt: skip
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(vectors))
    answer = decoded(file)
    assert answer["wrong"] == []
    assert answer["checked"] >= 100


def _random_chunk(draw: random.Random) -> VitalsChunk:
    start = draw.choice((0, 127, 70_000, 2**33))
    span_s = draw.choice((1, 60, 600))
    readings = []
    heart = draw.randrange(30, 200)
    for second in range(span_s):
        if draw.random() < 0.2:
            continue
        heart = max(0, min(400, heart + draw.choice((0, 0, 1, -1, 90, -90))))
        has_heart, has_breath = draw.random() < 0.8, draw.random() < 0.5
        readings.append(
            Reading(
                start + second, draw.randrange(3), draw.randrange(6), heart if has_heart else None,
                draw.randrange(11) * 10, 0 if has_heart else 3, draw.randrange(60) if has_breath else None,
                draw.randrange(11) * 10, 0 if has_breath else 255, draw.randrange(101), draw.choice((0, 0, 255)),
                draw.choice((0, 65_535)),
            )
        )  # fmt: skip
    utc_ms = draw.choice((0, 1_795_000_020_000))
    return VitalsChunk(
        "床-1", "sb-0001", draw.choice((0, 2**32 - 1)), start, utc_ms, True, span_s, tuple(readings),
        _random_minute(draw),
    )  # fmt: skip


def _random_minute(draw: random.Random) -> Minute | None:
    if draw.random() < 0.5:
        return None
    rates = {name for name in Minute.__slots__ if name.startswith(("heart_rate", "respiration_per"))}
    return Minute(**{
        name: (draw.choice((None, draw.randrange(401))) if name in rates else draw.choice((0, draw.randrange(61))))
        for name in Minute.__slots__
    })  # type: ignore[arg-type]  # only rates may be None
