"""`sleepbelt platform`: what is done to the receiver's database from outside: tokens, webhooks, backup."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_sync.receiver.settings import ReceiverSettings

SUMMARY = "look after the platform: tokens of its API, webhooks, backup and restore"
DONE, FAILED, BAD_INPUT = 0, 1, 2
DELIVERIES_SHOWN = 200

_EPILOG = """\
A receiver may be running meanwhile, also on the same database.

roles of a token:
  admin       reads everything
  integrator  reads residents' data by their ids, without names
  technician  reads beds, devices, gaps and counts, nothing of residents

examples:
  sleepbelt platform token add nurse-call --role integrator --days 365 --config receiver.toml
  sleepbelt platform token list --data /var/lib/sleepbelt-platform
  sleepbelt platform token revoke nurse-call --config receiver.toml
  sleepbelt platform gateway-token gw-01 --config receiver.toml > http-token
  sleepbelt platform webhook list --config receiver.toml
  sleepbelt platform webhook retry care-system --config receiver.toml
  sleepbelt platform backup /var/backups/sleepbelt/2026-11-27 --config receiver.toml --passphrase-file FILE
  sleepbelt platform restore /var/backups/sleepbelt/2026-11-27 --data new-data
  sleepbelt platform check --config receiver.toml

Exit code: 0 done, 1 failed, 2 bad input.
"""

Said = tuple[Any, list[str]]  # for programs, for people


def main(argv: Sequence[str]) -> int:
    """Do what the subcommand says; 0 done, 1 failed, 2 bad input."""
    options = _parser().parse_args(argv)
    from cloud_sync.receiver.settings import SettingsError
    from cloud_sync.receiver.stores.backup import BackupError
    from cloud_sync.receiver.stores.base import StoreError
    from cloud_sync.receiver.stores.tokens import TokenError
    from cloud_sync.sealing import SealError
    from cloud_sync.secret_file import SecretFileError

    try:
        said, lines = options.act(options, _settings(options))
    except (SettingsError, TokenError, BackupError, SealError, SecretFileError) as error:
        return _fail(str(error), BAD_INPUT)
    except (StoreError, OSError) as error:
        return _fail(str(error), FAILED)
    print(json.dumps(said, ensure_ascii=False) if options.json else "\n".join(lines))
    return DONE


def _parser() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--config", type=Path, metavar="FILE", help="the receiver's TOML file")
    where.add_argument("--data", type=Path, metavar="DIR", help="the receiver's data folder (default: sleepbelt-data)")
    where.add_argument("--database", metavar="URL", help="postgresql://user:password@host/name in place of a file")
    where.add_argument("--json", action="store_true", help="say it as JSON")
    parser = argparse.ArgumentParser(
        prog="sleepbelt platform", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    token = subjects.add_parser("token", help="who may read the API").add_subparsers(required=True, metavar="WHAT")

    def command(group: Any, name: str, act: Callable[..., Said], text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = group.add_parser(name, parents=[where], help=text, description=text)
        made.set_defaults(act=act)
        return made

    add = command(token, "add", _token_add, "make a token and show it, this once")
    add.add_argument("name", metavar="NAME", help="what it is for; never a resident's name")
    add.add_argument("--role", required=True, metavar="ROLE", help="admin, integrator or technician")
    add.add_argument("--days", type=int, metavar="N", help="good for so long (default: until revoked)")
    command(token, "list", _token_list, "all tokens ever made, without their texts")
    command(token, "revoke", _token_revoke, "it opens nothing from the next request on").add_argument(
        "name", metavar="NAME"
    )
    post = command(subjects, "gateway-token", _gateway_token, "what a gateway shows that posts its batches by HTTP")
    post.add_argument("gateway", metavar="GATEWAY", help="its gateway.id")
    webhook = subjects.add_parser("webhook", help="what was told to whom").add_subparsers(required=True, metavar="WHAT")
    command(webhook, "list", _webhook_list, "the delivery log: what waits first, then the latest tries")
    command(webhook, "retry", _webhook_retry, "send what was given up once more").add_argument("name", metavar="NAME")
    backup = command(subjects, "backup", _backup, "seal database and keys into a new folder, while the receiver runs")
    backup.add_argument("folder", type=Path, metavar="FOLDER")
    backup.add_argument("--without-keys", action="store_true", help="names in it then stay sealed for who has no key")
    restore = command(subjects, "restore", _restore, "put a backup into a place without a database, and check it")
    restore.add_argument("folder", type=Path, metavar="FOLDER")
    check = command(subjects, "check", _check, "read the whole database, or a backup, and say whether it is sound")
    check.add_argument("folder", type=Path, metavar="FOLDER", nargs="?", help="a backup, in place of the database")
    for each, text in ((backup, "what it is sealed with"), (restore, "what it was sealed with"),
                       (check, "look whether the backup opens, too")):  # fmt: skip
        each.add_argument("--passphrase-file", type=Path, metavar="FILE", help=text)
    return parser


def _settings(options: argparse.Namespace) -> ReceiverSettings:
    from cloud_sync.receiver.settings import ReceiverSettings, checked, read_settings

    if options.config is not None:
        settings = read_settings(options.config, options.data)
    else:
        settings = ReceiverSettings(data=options.data or Path("sleepbelt-data"))
    if options.database is not None:
        settings = dataclasses.replace(settings, postgres=options.database)
    return checked(settings, has_broker=False)


def _token_add(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.opening import open_existing
    from cloud_sync.receiver.stores.tokens import add_token

    with closing(open_existing(settings.database)) as database:
        text = add_token(database, options.name, options.role, options.days, _now_utc_ms())
    said = {"name": options.name, "role": options.role, "token": text}
    return said, [text, "", "It is shown this once: only its hash is kept. Send it as: Authorization: Bearer <token>"]


def _token_list(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.opening import open_existing
    from cloud_sync.receiver.stores.tokens import list_tokens

    with closing(open_existing(settings.database)) as database:
        tokens = list_tokens(database)
    now_ms = _now_utc_ms()
    rows = [{**dataclasses.asdict(token), "valid": token.is_valid(now_ms)} for token in tokens]
    lines = [
        f"{token.name:<24} {token.role:<11} {'valid' if token.is_valid(now_ms) else 'not valid':<10} "
        f"made {_day(token.made_utc_ms)}  expires {_day(token.expires_utc_ms)}  revoked {_day(token.revoked_utc_ms)}"
        for token in tokens
    ]
    return {"tokens": rows}, lines or ["no token was ever made here"]


def _token_revoke(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.opening import open_existing
    from cloud_sync.receiver.stores.tokens import revoke_token

    with closing(open_existing(settings.database)) as database:
        revoke_token(database, options.name, _now_utc_ms())
    return {"revoked": options.name}, [f"{options.name} opens nothing any more"]


def _gateway_token(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.http_uplink import gateway_token
    from cloud_sync.receiver.settings import SettingsError

    if settings.gateway_token is None:
        raise SettingsError("receiver.gateway_token is not set: without it no batch is taken by HTTP")
    try:
        text = gateway_token(settings.gateway_token, options.gateway)
    except ValueError as error:
        raise SettingsError(f"{options.gateway!r} is no gateway's label: {error}") from None
    return {"gateway": options.gateway, "token": text}, [text]


def _webhook_list(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.opening import open_existing, open_reads
    from cloud_sync.receiver.stores.outbox import deliveries

    open_existing(settings.database).close()
    with closing(open_reads(settings.database)) as reads:
        rows = deliveries(reads, DELIVERIES_SHOWN)
    lines = [f"{row.webhook:<20} {row.state:<9} {row.tries:>2} tries  {row.event_key}  {row.error}" for row in rows]
    return {"deliveries": [dataclasses.asdict(row) for row in rows]}, lines or ["nothing was told to anybody yet"]


def _webhook_retry(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.database import transaction
    from cloud_sync.receiver.stores.opening import open_existing
    from cloud_sync.receiver.stores.outbox import retry

    with closing(open_existing(settings.database)) as database, transaction(database, "retry webhooks"):
        count = retry(database, options.name, _now_utc_ms())
    return {"webhook": options.name, "retried": count}, [f"{count} events are due again"]


def _backup(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.backup import back_up
    from cloud_sync.sealing import ask_passphrase

    passphrase = ask_passphrase(options.passphrase_file, is_new=True)
    made = back_up(settings.database, settings.data, options.folder, not options.without_keys, _now_utc_ms(),
                   passphrase, settings.authority)  # fmt: skip
    lines = [f"{options.folder}: {sum(made.rows.values())} rows in {len(made.rows)} tables; {', '.join(made.files)}",
             "Sealed: without its passphrase nobody can restore it. Keep that apart."]  # fmt: skip
    if "names.key" in made.files:
        lines.append("It holds the key to residents' names: keep it as you keep those.")
    if "authority.tar" in made.files:
        lines.append("It holds the key of the site's authority, which makes certificates that all gateways trust.")
    return {"folder": str(options.folder), **dataclasses.asdict(made)}, lines


def _restore(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.backup import restore
    from cloud_sync.sealing import ask_passphrase

    made = restore(options.folder, settings.database, settings.data,
                   lambda: ask_passphrase(options.passphrase_file), settings.authority)  # fmt: skip
    lines = [
        f"{settings.database_shown}: {sum(made.rows.values())} rows in {len(made.rows)} tables, checked",
        f"Start the receiver: gateways send again what came after {_day(made.made_utc_ms)}, as far as they keep it.",
    ]
    if "authority.tar" in made.files:
        lines.append(f"The site's authority is in {settings.authority or settings.data / 'authority'} "
                     "(receiver.authority); write the broker's files anew: sleepbelt authority broker.")
    if "names.key" not in made.files:
        lines.append(f"The backup has no keys: put names.key and command.key into {settings.data} first.")
    return {"database": settings.database_shown, **dataclasses.asdict(made)}, lines


def _check(options: argparse.Namespace, settings: ReceiverSettings) -> Said:
    from cloud_sync.receiver.stores.backup import check_database, check_folder
    from cloud_sync.sealing import ask_passphrase

    where = options.folder or settings.database_shown
    if options.folder:
        passphrase = ask_passphrase(options.passphrase_file) if options.passphrase_file else None
        rows = check_folder(options.folder, passphrase).rows
    else:
        rows = check_database(settings.database)
    return {"ok": True, "checked": str(where), "rows": rows}, [f"{where} is sound: {sum(rows.values())} rows"]


def _now_utc_ms() -> int:
    return time.time_ns() // 1_000_000


def _day(utc_ms: int | None) -> str:
    return "-" if utc_ms is None else datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d")


def _fail(message: str, code: int) -> int:
    print(f"sleepbelt platform: {message}", file=sys.stderr)
    return code
