"""Who lives here and what of them may be kept: admissions, consents and retention, and the sweep that enforces them.

A consent withdrawn counts at once: pages and API show nothing of that class from the next request on, those of other
workers on the same database within SWEEP_S; the sweep deletes what a gateway still sends of it within SWEEP_S.
Retention is enforced by the same sweep.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloud_sync.receiver import home_reads
from cloud_sync.receiver.home import Home
from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.people import Consent
from cloud_sync.receiver.platform import Platform
from cloud_sync.receiver.residents import Resident, admissions
from cloud_sync.receiver.stores.base import Admission, StoreError, StoreReads, StoreWrites
from cloud_sync.receiver.stores.forgetting import DATA_CLASSES
from cloud_sync.receiver.threads import StoreThread

__all__ = ["SWEEP_S", "Register", "ResidentRow"]

log = logging.getLogger(__name__)

SWEEP_S = 20.0
RETENTION_EVERY = 180  # sweeps: an hour
DAY_MS = 86_400_000
EXPORT_ROWS_MAX = 2_000_000
FOREVER_MS = 2**53


@dataclass(frozen=True, slots=True)
class ResidentRow:
    """A resident, here or discharged."""

    resident_id: str
    name: str
    gateway: str | None  # None: discharged
    bed: str | None
    room: str
    admitted_utc_ms: int
    left_utc_ms: int | None


class Register:
    """All changes of residents; `run` sweeps until cancelled."""

    def __init__(
        self,
        platform: Platform,
        home: Home,
        reads: StoreThread[StoreReads],
        writes: StoreThread[StoreWrites],
        names: NameBook,
    ) -> None:
        self._platform, self._home, self._reads, self._writes, self._names = platform, home, reads, writes, names

    # -- who --------------------------------------------------------------------------------------------------------

    async def residents(self) -> list[ResidentRow]:
        """Those who are here first, by room and bed; then the discharged, the latest first."""
        rows, sealed = await self._reads.call(lambda store: (store.select(_RESIDENTS), store.names()))
        opened = self._names.open_all(sealed)
        found = [
            ResidentRow(resident, opened.get(resident, "?"), gateway, bed, room or "", admitted_ms, left_ms)
            for resident, gateway, bed, room, admitted_ms, left_ms in rows
        ]
        here = sorted((row for row in found if row.bed is not None), key=lambda row: (row.room, row.bed))
        return here + sorted((row for row in found if row.bed is None), key=lambda row: -(row.left_utc_ms or 0))

    async def resident(self, resident_id: str) -> ResidentRow | None:
        """One of them; None if there is no such one."""
        return next((row for row in await self.residents() if row.resident_id == resident_id), None)

    async def free_beds(self) -> list[tuple[str, str]]:
        """(gateway, bed) of every bed a gateway told of that is nobody's."""
        beds = await self._reads.call(home_reads.beds)
        taken = {(row.gateway, row.bed) for row in await self.residents()}
        return [key for key in beds if key[1] and key not in taken]

    async def admit(self, name: str, place: tuple[str, str], room: str) -> str:
        """A new resident in a bed; their id."""
        resident_id = f"r-{secrets.token_hex(6)}"
        await self._put(resident_id, name, place, room)
        return resident_id

    async def admit_listed(self, listed: Sequence[Resident]) -> int:
        """Those of a file whom nobody here has known yet, into beds that are nobody's; how many.

        Who is known was perhaps moved, renamed or discharged since the file was written, and who was erased stays so.
        """
        rows = await self.residents()
        known = {row.resident_id for row in rows} | await self._home.people(lambda people: people.erased())
        taken = {(row.gateway, row.bed) for row in rows}
        fresh = [one for one in listed if one.resident_id not in known and (one.gateway, one.bed) not in taken]
        now_ms = self._platform.now_utc_ms()
        await self._writes.call(lambda store: store.admit(admissions(fresh, self._names), now_ms))
        if len(fresh) < len(listed):
            log.info("%d of %d listed residents are known or their bed is taken: left as they are here",
                     len(listed) - len(fresh), len(listed))  # fmt: skip
        await self._platform.refresh_places()
        return len(fresh)

    async def rename(self, row: ResidentRow, name: str) -> None:
        """Another name for a resident who is here."""
        if row.gateway is not None and row.bed is not None:
            await self._put(row.resident_id, name, (row.gateway, row.bed), row.room)

    async def move(self, row: ResidentRow, place: tuple[str, str]) -> None:
        """Another bed; what was recorded goes with the person. A discharged resident is here again."""
        rooms = await self._reads.call(home_reads.beds)
        await self._put(row.resident_id, row.name, place, rooms.get(place, ""))

    async def discharge(self, resident_id: str) -> bool:
        """Their bed is nobody's from now on; False if they have none."""
        now_ms = self._platform.now_utc_ms()
        found = await self._writes.call(lambda store: store.discharge(resident_id, now_ms))
        await self._platform.refresh_places()
        return found

    async def erase(self, resident_id: str) -> None:
        """Name and records gone; the audit keeps that an id was erased and by whom."""
        await self._writes.call(lambda store: store.erase(resident_id))
        await self._home.people(lambda people: people.forget_consents(resident_id))
        await self.reload()
        await self._platform.refresh_places()

    async def _put(self, resident_id: str, name: str, place: tuple[str, str], room: str) -> None:
        admission = Admission(self._names.seal(resident_id, name), *place, room)
        now_ms = self._platform.now_utc_ms()
        await self._writes.call(lambda store: store.admit([admission], now_ms))
        await self._platform.refresh_places()

    # -- what may be kept -------------------------------------------------------------------------------------------

    async def withheld(self, resident_id: str) -> frozenset[str]:
        """The classes whose consent was withdrawn."""
        consents = await self._home.people(lambda people: people.consents())
        return frozenset(one.data_class for one in consents if one.resident_id == resident_id and not one.given)

    async def consent(self, given: Sequence[Consent]) -> None:
        """Keep what was said, and act on it at once."""
        await self._home.people(lambda people: people.put_consents(given))
        await self.reload()
        await self.sweep()

    async def retention(self) -> dict[str, int]:
        """Days by class."""
        return await self._home.people(lambda people: people.retention())

    async def keep(self, days: dict[str, int]) -> None:
        """Keep data of each class so long from now on."""
        await self._home.people(lambda people: people.put_retention(days))
        await self._sweep_old()

    async def reload(self) -> None:
        """Read what is withheld, who lies where and who may sign in: other workers change them too. Called at start."""
        found: dict[str, set[str]] = {}
        for one in await self._home.people(lambda people: people.consents()):
            if not one.given:
                found.setdefault(one.resident_id, set()).add(one.data_class)
        self._platform.withhold({resident: frozenset(classes) for resident, classes in found.items()})
        await self._platform.refresh_places(tell=False)
        self._home.use_accounts(await self._home.people(lambda people: people.accounts()))

    async def run(self) -> None:
        """Sweep until cancelled; a database that fails is tried again."""
        sweeps = 0
        while True:
            try:
                await self.reload()
                await self.sweep()
                if sweeps % RETENTION_EVERY == 0:
                    await self._sweep_old()
                sweeps += 1
            except StoreError as error:
                log.error("retention and consents wait: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Delete what arrived of a class after its consent was withdrawn."""
        for one in await self._home.people(lambda people: people.consents()):
            if not one.given:
                await self._writes.call(
                    lambda store, one=one: store.forget_of(  # type: ignore[misc]
                        one.resident_id, one.data_class, one.since_utc_ms, FOREVER_MS
                    )
                )

    async def _sweep_old(self) -> None:
        now_ms = self._platform.now_utc_ms()
        for name, days in (await self.retention()).items():
            before_ms = now_ms - days * DAY_MS
            await self._writes.call(lambda store, n=name, at=before_ms: store.forget_before(n, at))  # type: ignore[misc]

    # -- export -----------------------------------------------------------------------------------------------------

    async def export(self, row: ResidentRow) -> dict[str, Any]:
        """Everything kept of a resident, as JSON: for them, or to take along."""

        def read(store: StoreReads) -> dict[str, Any]:
            stays = home_reads.stays(store, row.resident_id)
            return {
                "stays": [asdict(stay) for stay in stays],
                "nights": [dict(night.report) for night in home_reads.nights(store, row.resident_id, 10_000)],
                "minutes": [
                    {"gateway": stay.bed[0], "bed": stay.bed[1], **asdict(minute)}
                    for stay in stays
                    for minute in store.minutes(*stay.bed, stay.from_utc_ms, stay.to_utc_ms or FOREVER_MS)
                ][:EXPORT_ROWS_MAX],
                "events": [
                    {"gateway": stay.bed[0], "bed": stay.bed[1], **asdict(event)}
                    for stay in stays
                    for event in store.events(
                        *stay.bed, stay.from_utc_ms, stay.to_utc_ms or FOREVER_MS, EXPORT_ROWS_MAX
                    )
                ],
            }

        found = await self._reads.call(read)
        consents = await self._home.people(lambda people: people.consents())
        views = await self._home.who_looked(row.resident_id, 100_000)
        return {
            "resident": asdict(row),
            "consents": [asdict(one) for one in consents if one.resident_id == row.resident_id],
            "data_classes": list(DATA_CLASSES),
            **found,
            "who_looked": [asdict(view) for view in views],
        }


_RESIDENTS = (
    "SELECT residents.resident_id, beds.gateway, beds.bed, beds.room, residents.admitted_utc_ms, "
    "(SELECT max(to_utc_ms) FROM assignments AS old WHERE old.resident_id = residents.resident_id) "
    "FROM residents LEFT JOIN assignments ON assignments.resident_id = residents.resident_id "
    "AND assignments.to_utc_ms IS NULL LEFT JOIN beds ON beds.bed_id = assignments.bed_id"
)
