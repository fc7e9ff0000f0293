"""What the sensor gives with the bed empty and in use, measured on order once the belt is mounted.

A sensor that lies well gives several times its own noise as soon as somebody lies on it. Either measurement fails if
that cannot be; both together set FLAG_CALIBRATED, and both strengths are what occupancy starts with after a boot.
What the static channel gives is kept with each, where there is one.
"""

from protocol.wire import frames

from .config import Config
from .load import Load
from .occupancy import ENTER_MIN
from .pipeline import Pipeline

CALIBRATION_S = 20
OVER_NOISE = 3  # times: less than this between empty and in use is a sensor out of place


class Calibration:
    """start() one measurement, second() after each second of the pipeline."""

    def __init__(self, config: Config, pipeline: Pipeline, load: Load) -> None:
        self._config = config
        self._load = load
        self._pipeline = pipeline
        self._request_id = -1
        self._occupied = False
        self._seconds = 0
        self._total = 0
        if self.is_done:
            pipeline.occupancy.usual = config.values["occupied_level"]
            pipeline.occupancy.know_around(config.values["empty_level"])

    @property
    def is_done(self) -> bool:
        """Both measurements are stored and stand far enough apart."""
        values = self._config.values
        empty, occupied = values["empty_level"], values["occupied_level"]
        return bool(empty and occupied and occupied >= OVER_NOISE * empty)

    def start(self, request_id: int, occupied: bool) -> "tuple[int, int]":
        """(status, seconds it takes): begin with the bed in use or empty; a running measurement is given up."""
        self._request_id, self._occupied = request_id, occupied
        self._seconds = self._total = 0
        return frames.STATUS_STARTED, CALIBRATION_S

    def second(self, occupancy: int) -> "tuple[int, int, int] | None":
        """(request_id, status, level) when a measurement has ended; FAILED leaves what was stored as it was."""
        if self._request_id < 0:
            return None
        self._seconds += 1
        self._total += self._pipeline.level
        moved = self._pipeline.movement.burst
        contradicted = occupancy == (frames.EMPTY if self._occupied else frames.OCCUPIED)
        if self._seconds < CALIBRATION_S and not moved and not contradicted:
            return None
        request_id, self._request_id = self._request_id, -1
        level = max(1, self._total // self._seconds)
        fits = level >= ENTER_MIN if self._occupied else level < ENTER_MIN
        if moved or contradicted or not fits:
            return request_id, frames.STATUS_FAILED, level
        if self._occupied:
            kept = self._config.keep(occupied_level=level, occupied_load=self._load.value)
        else:
            kept = self._config.keep(empty_level=level, empty_load=self._load.value)
        return request_id, frames.STATUS_DONE if kept else frames.STATUS_FAILED, level
