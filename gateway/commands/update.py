"""`sleepbelt update`: signed updates of a gateway and its belts; made where they are built, taken where it stands."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase, lines

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.update import Places

SUMMARY = "signed updates of a gateway and of its belts: stage, try, go back"
DONE, FAILED, BAD_INPUT = 0, 1, 2
CONFIG_FILE = Path("/etc/sleepbelt/gateway.toml")
WATCHER = "sleepbelt-update-watch.service"
FOLLOW_S_MAX = 600.0
WAIT_EVERY_S = 5.0
_NAMES = {str(name): name for name in (
    Phrase("private"), Phrase("public"), Phrase("update"), Phrase("version"), Phrase("boards"), Phrase("architecture"),
    Phrase("staged"), Phrase("next"), Phrase("kept"), Phrase("runs"), Phrase("installed"), Phrase("running"),
    Phrase("state"), Phrase("trial"), Phrase("failed"), Phrase("not_now"),
)}  # fmt: skip

_EPILOG = """\
where packages are built (the private key stays there, and off the gateways):
  sleepbelt update keygen --out update-key
  sleepbelt update sign sleepbelt_1.4.2_arm64.deb --key update-key/private.pem
on the gateway (public.pem is in /etc/sleepbelt/update-keys.d):
  sudo sleepbelt update stage sleepbelt_1.4.2_arm64.update
  sudo sleepbelt update apply 1.4.2 --wait
  sleepbelt update status
  sudo sleepbelt update rollback
firmware of the belts, as `sleepbelt firmware build` left it in a folder:
  sleepbelt update sign build/firmware --key update-key/private.pem --out belts.update
  sudo sleepbelt update stage belts.update
  sudo sleepbelt update belts start
  sudo sleepbelt update belts status

A version is tried with the old one kept: unless it runs well for a minute within five, the old one starts again by
itself, also after a power cut. No update begins while a bed has an alarm or an absence open. Belts are updated one in a
room at a time, in beds that are in use; one that refuses a version or goes back from it stops the update of all.
Exit codes: 0 done, 1 failed or rolled back, 2 bad input.
"""


def main(argv: Sequence[str], places: Places | None = None, restart: Callable[[], None] | None = None) -> int:
    """One step; 0 done, 1 failed or rolled back, 2 bad input."""
    options = _parser().parse_args(argv)
    from gateway.cores.update_slots import SlotsError
    from gateway.update import Places, UpdateError
    from gateway.update_boot import restart_service

    where, t = Places() if places is None else places, Words(options.lang)
    if options.action == "stage" and places is None:
        os.nice(10)  # the gateway beside it goes first, and so does who feeds the hardware watchdog
    try:
        if options.action == "keygen":
            said = _keygen(options.out)
        elif options.action == "sign":
            said = _sign(options.package, options.key, options.out)
        elif options.action == "stage":
            said = _stage(options, where)
        elif options.action == "apply":
            return _apply(options, where, restart or restart_service, t)
        elif options.action == "rollback":
            return _rollback(options, where, restart or restart_service, t)
        elif options.action == "belts":
            return _belts(options, t)
        else:
            said = _status(where)
    except (UpdateError, SlotsError) as error:
        return _fail(error.args[0], options.json, BAD_INPUT, t)
    except OSError as error:
        is_denied = isinstance(error, PermissionError) and os.geteuid() != 0
        advice = Phrase("; run it with sudo") if is_denied else ""
        return _fail(Phrase(
            "{filename}: {why}{advice}",
            filename=error.filename or '', why=error.strerror or error, advice=advice), options.json, FAILED, t)
    _say(said, options.json, t)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt update", description=SUMMARY, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    add_language(common)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    keygen = actions.add_parser("keygen", parents=[common], help="make the key pair that signs updates")
    keygen.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for private.pem and public.pem")
    sign = actions.add_parser("sign", parents=[common], help="make a signed update of a .deb or of belt firmware")
    sign.add_argument("package", type=Path, metavar="DEB|FOLDER")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key")
    sign.add_argument("--out", type=Path, metavar="FILE", help="default: beside the package, .update for .deb")
    stage = actions.add_parser("stage", parents=[common], help="check an update and unpack it beside what runs")
    stage.add_argument("file", type=Path, metavar="FILE")
    stage.add_argument("--config", type=Path, default=CONFIG_FILE, metavar="FILE",
                       help=f"for belt firmware: the gateway's configuration (default {CONFIG_FILE})")
    belts = actions.add_parser("belts", parents=[common], help="bring staged firmware to the belts")
    belts.add_argument("do", choices=["start", "stop", "status"])
    belts.add_argument("--config", type=Path, default=CONFIG_FILE, metavar="FILE", help=f"default: {CONFIG_FILE}")
    apply = actions.add_parser("apply", parents=[common], help="try a staged version; keep it or go back")
    apply.add_argument("version", metavar="VERSION")
    apply.add_argument("--wait", action="store_true", help="wait until no alarm and no absence is open")
    actions.add_parser("status", parents=[common], help="what runs, what is on trial, what has failed")
    rollback = actions.add_parser("rollback", parents=[common], help="end a trial, or go back to the packaged version")
    rollback.add_argument("--wait", action="store_true", help="wait until no alarm and no absence is open")
    return parser


def _keygen(folder: Path) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    from gateway.update import UpdateError

    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "private.pem", folder / "public.pem"
    if private.exists():
        raise UpdateError(Phrase(
            "{private} is there already; gateways that trust it would take no update from a new one",
            private=private))
    key = Ed25519PrivateKey.generate()
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return {"private": str(private), "public": str(public)}


def _sign(package: Path, key_file: Path, out: Path | None) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from gateway.update import UpdateError, write_bundle

    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UpdateError(Phrase(
            "{key_file}: {error}; `sleepbelt update keygen` makes a key",
            key_file=key_file, error=error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UpdateError(Phrase(
            "{key_file}: not an Ed25519 key; `sleepbelt update keygen` makes one",
            key_file=key_file))
    if package.is_dir():
        from gateway.belt_bundle import write_belt_bundle

        target = out if out is not None else package / "belts.update"
        said = write_belt_bundle(package, key.sign, target)
        return {"update": str(target), "version": said["version"], "boards": len(said["images"])}
    fields = {}
    for name in ("Package", "Version", "Architecture"):
        done = subprocess.run(["dpkg-deb", "-f", str(package), name], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UpdateError(Phrase("{package}: {why}", package=package, why=done.stderr.strip()))
        fields[name] = done.stdout.strip()
    if fields["Package"] != "sleepbelt":
        raise UpdateError(Phrase(
            "{package}: holds {Package}, not sleepbelt",
            package=package, Package=repr(fields['Package'])))
    target = out if out is not None else package.with_suffix(".update")
    manifest = write_bundle(package, fields["Version"], fields["Architecture"], key.sign, target)
    return {"update": str(target), "version": manifest.version, "architecture": manifest.architecture}


def _stage(options: argparse.Namespace, places: Places) -> dict[str, Any]:
    from gateway.belt_bundle import is_belt_bundle, stage_bundle
    from gateway.update import stage

    if is_belt_bundle(options.file):
        from gateway.belt_rollout import BUNDLE_FILE

        gateway = _config(options.config).gateway
        bundle = stage_bundle(options.file, gateway.update_keys, gateway.data_dir / BUNDLE_FILE)
        return {"staged": bundle.version, "boards": len(bundle.images), "next": "sleepbelt update belts start"}
    manifest = stage(options.file, places)
    return {"staged": manifest.version, "next": f"sleepbelt update apply {manifest.version} --wait"}


def _config(file: Path) -> Config:
    from gateway.config import ConfigError, load_config
    from gateway.update import UpdateError

    try:
        return load_config(file)
    except ConfigError as error:
        raise UpdateError(error.args[0]) from None


def _belts(options: argparse.Namespace, t: Words) -> int:
    from cloud_sync.pages.language import strings
    from gateway.provision_error import ProvisionError
    from gateway.provision_socket import GatewayAwayError, ask
    from gateway.provision_words import explain

    config, texts = _config(options.config), strings("en" if options.json else options.lang)
    try:
        said = ask(config.gateway.data_dir, "belt_update", {"do": options.do})
    except ProvisionError as error:
        return _fail(explain(texts, error), options.json, FAILED, t)
    except GatewayAwayError as error:
        return _fail(error.args[0], options.json, FAILED, t)
    if options.json:
        print(json.dumps(said, ensure_ascii=False))
        return DONE
    waits = Phrase("none (staged: start it)") if said["staged"] else Phrase("none")
    print(t(Phrase("target: {target}", target=said["target"] or waits)))
    if said["stopped_by"]:
        print(texts(f"belt_update.stopped_{said['stopped_why']}", belt=said["stopped_by"], version=said["target"]))
    if said["problem"]:
        print(t(Phrase("problem: {problem}", problem=said["problem"])))
    for bed in said["beds"]:
        print(t(Phrase(
            "bed {bed}: belt {belt} runs {version}: {state}", bed=bed["bed"], belt=bed["belt"],
            version=bed["version"] or Phrase("an unknown version"),
            state=texts(f"belt_update_state.{bed['state'] or 'next'}") if said["target"] else Phrase("no update"),
        )) + (f" ({bed['sent_bytes']} / {bed['image_bytes']} B)" if bed["image_bytes"] else ""))  # fmt: skip
    return DONE


def _apply(options: argparse.Namespace, places: Places, restart: Callable[[], None], t: Words) -> int:
    from gateway.update import apply, running_version

    if reasons := _hindrances(options.wait, places, options.json, t):
        return _fail(_not_now(reasons), options.json, FAILED, t)
    apply(options.version, places, restart)
    subprocess.run(["systemctl", "start", "--no-block", WATCHER], check=False, stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + FOLLOW_S_MAX
    while (slots := places.load()).trial is not None and time.monotonic() < until_s:
        time.sleep(1.0)
    is_kept = slots.trial is None and slots.current == options.version
    runs = running_version(places, slots)
    _say({"version": options.version, "kept": is_kept, "runs": runs}, options.json, t)
    return DONE if is_kept else FAILED


def _rollback(options: argparse.Namespace, places: Places, restart: Callable[[], None], t: Words) -> int:
    from gateway.update import give_up

    # A trial is ended at once: what is wrong with it may be the alarms.
    if places.load().trial is None and (reasons := _hindrances(options.wait, places, options.json, t)):
        return _fail(_not_now(reasons), options.json, FAILED, t)
    _say({"runs": give_up(places, restart)}, options.json, t)
    return DONE


def _not_now(reasons: Sequence[str]) -> Phrase:
    return Phrase("not now (--wait waits for the end of it):\n{reasons}", reasons=lines(reasons))


def _hindrances(wait: bool, places: Places, as_json: bool, t: Words) -> tuple[str, ...]:
    from gateway.cores.update_slots import may_update
    from gateway.update import read_health

    said: tuple[str, ...] = ()
    while reasons := may_update(read_health(places)):
        if not wait:
            return reasons
        if reasons != said and not as_json:
            print(t(Phrase("waiting:\n{reasons}", reasons=lines(reasons))), file=sys.stderr, flush=True)
        said = reasons
        time.sleep(WAIT_EVERY_S)
    return ()


def _status(places: Places) -> dict[str, Any]:
    from gateway.cores.update_slots import may_update
    from gateway.update import read_health, running_version

    slots, running = places.load(), read_health(places)
    staged = sorted(folder.name for folder in (places.state / "slots").glob("*"))
    return {
        "installed": running_version(places, slots),
        "running": None if running is None else running.version,
        "state": None if running is None else running.state,
        "trial": slots.trial,
        "staged": staged,
        "failed": list(slots.failed),
        "not_now": list(may_update(running)),
    }


def _say(said: dict[str, Any], as_json: bool, t: Words) -> None:
    if as_json:
        print(json.dumps(said, ensure_ascii=False))
        return
    for name, value in said.items():
        shown: object = value
        if isinstance(value, list):
            shown = ", ".join(map(t, value))
        elif isinstance(value, bool):
            shown = Phrase("yes") if value else Phrase("no")
        print(f"{t(_NAMES[name])}: {t(Phrase('none') if shown in (None, '') else shown)}")


def _fail(text: str, as_json: bool, code: int, t: Words) -> int:
    if as_json:
        print(json.dumps({"ok": False, "error": text}, ensure_ascii=False))
    print(f"sleepbelt update: {t(text)}", file=sys.stderr)
    return code
