"""`sleepbelt provision`: everything a technician does, on the gateway itself and without a PIN."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase, lines

SUMMARY = "set a gateway up, bring belts to beds, walk-test, certify, back up"
DONE, FAILED, BAD_INPUT = 0, 1, 2

CONFIG = "/etc/sleepbelt/gateway.toml"
_EPILOG = """\
examples:
  sleepbelt provision setup --site site.toml --check    # what is wrong with it, line by line, or what it would change
  sleepbelt provision setup --site site.toml            # gateway.toml of rooms, beds, zone, channels
  sleepbelt provision scan                              # belts in range, beds, what is bound
  sleepbelt provision claim 'BB1:...' --bed 101-1       # the text of the belt's label, typed or from a scanner
  sleepbelt provision bind C000000000000001 101-1
  sleepbelt provision swap 101-1 'BB1:...'              # another belt for the bed; the bed's history stays
  sleepbelt provision batch belts.csv                   # bed,label: then one scan or tap per bed is enough
  sleepbelt provision walk-test 101-1
  sleepbelt provision survey --seconds 120
  sleepbelt provision labels --out beds.pdf             # or --belts belts.csv
  sleepbelt provision certificate --out acceptance      # acceptance.json, acceptance-zh.pdf, acceptance-en.pdf
  sleepbelt provision verify acceptance.json
  sleepbelt provision backup --out gw-01.sbbk --passphrase-file FILE
  sleepbelt provision restore gw-01.sbbk --passphrase-file FILE
  sleepbelt provision decommission C000000000000001 --yes
  sleepbelt provision export 101-1 --from 2026-09-01 --to 2026-11-20 --out records   # what is kept of who lay there
  sleepbelt provision erase 101-1 --from 2026-09-01 --to 2026-11-20 --yes 101-1      # ... gone, for good
  sleepbelt provision wipe --gateway gw-01 --belts-out belts.csv --out proof.json

The same, from a phone: the gateway's page /provision, as a technician. Exit codes: 0 done, 1 failed, 2 bad input."""


def main(argv: Sequence[str]) -> int:
    """Run one step; 0 done, 1 failed (the words say what to do next), 2 bad input."""
    options = _parser().parse_args(argv)
    said_in = Words(options.lang)
    from cloud_sync.pages.pdf import PdfError
    from gateway.acceptance import CertificateError
    from gateway.backup import BackupError
    from gateway.config import ConfigError
    from gateway.provision_error import ProvisionError
    from gateway.provision_socket import GatewayAwayError
    from gateway.provision_words import explain
    from gateway.store_repair import StoreError

    try:
        return int(options.run(options))
    except ProvisionError as error:
        said = explain(_words(options), error)
        if options.json:
            print(json.dumps({"ok": False, "code": error.code, "message": said}, ensure_ascii=False))
        print(f"sleepbelt provision: {said}", file=sys.stderr)
        is_input = error.code.startswith(("label_", "unknown_", "bad_"))
        return BAD_INPUT if is_input else FAILED
    except ConfigError as error:
        print(f"sleepbelt provision: {said_in(error)}", file=sys.stderr)
        return BAD_INPUT
    except (GatewayAwayError, BackupError, CertificateError, PdfError, StoreError) as error:
        print(f"sleepbelt provision: {said_in(error)}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"sleepbelt provision: {error.filename or ''}: {said_in(error.strerror or error)}", file=sys.stderr)
        return FAILED


# -- steps -------------------------------------------------------------------------------------------------------------


def _setup(options: argparse.Namespace) -> int:
    from gateway.provision_words import change_text
    from gateway.site_setup import install, install_bare, preview

    if options.check:
        if options.site is None:
            print(f"sleepbelt provision: {_t(options, Phrase('--check needs --site FILE'))}", file=sys.stderr)
            return BAD_INPUT
        found, t = preview(options.site, options.config), _words(options)
        _say(options, {"config": str(options.config), "changes": found},
             "\n".join(change_text(t, change) for change in found) or t("provision.site_same"))
        return DONE
    if options.site is None:
        config = install_bare(options.config)
    else:
        config = install(options.site, options.config, replace=options.replace, remove_beds=options.remove_beds)
    beds = [bed.label for bed in config.beds]
    _say(options, {"config": str(options.config), "gateway": config.gateway.id, "beds": beds},
         _t(options, Phrase("{file}: gateway {gateway}, {count} beds. Start it: systemctl start sleepbelt "
                            "(or: sleepbelt run --config {file})", file=options.config, gateway=config.gateway.id,
                            count=len(beds))))
    return DONE


def _scan(options: argparse.Namespace) -> int:
    state = _ask(options, "state", {})
    t = _words(options)
    lines = []
    for bed in state["beds"]:
        key = "no_belt" if not bed["belt"] else "live" if bed["live"] else "not_live"
        walk = f"  {t('provision.walk_' + bed['walk'])}" if bed["walk"] else ""
        serial = bed["belt"].upper() or "-"
        lines.append(f"{t('provision.bed')} {bed['bed']:<12} {serial:<16}  {t('provision.' + key)}{walk}")
    for belt in state["belts"]:
        strength = "-" if belt["rssi_dbm"] is None else t("provision.dbm", rssi=belt["rssi_dbm"])
        status = t(f"provision.status_{belt['status']}", bed=belt["bed"] or belt["planned_bed"])
        lines.append(f"{t('provision.belt')} {belt['belt'].upper()}  {strength:>8}  {status}")
    if not state["belts"]:
        lines.append(t("provision.none_in_range"))
    _say(options, state, "\n".join(lines))
    return DONE


def _claim(options: argparse.Namespace) -> int:
    text = sys.stdin.readline() if options.label == "-" else options.label
    if options.belt:
        result = _ask(options, "claim", {"belt": options.belt, "code": text.strip(), "bed": options.bed})
    else:
        result = _ask(options, "scan", {"text": text, "bed": options.bed})
    if options.bed and not result.get("bound"):
        result = {**result, **_ask(options, "bind", {"belt": result["belt"], "bed": options.bed})}
    t = _words(options)
    key = "provision.bound" if result.get("bound") else "provision.claimed"
    _say(options, result, t(key, bed=result.get("bed", ""), belt=result["belt"].upper()))
    return DONE


def _swap(options: argparse.Namespace) -> int:
    options.bed, options.belt = options.at, ""
    return _claim(options)


def _bind(options: argparse.Namespace) -> int:
    result = _ask(options, "bind", {"belt": options.belt, "bed": options.at})
    _say(options, result, _words(options)("provision.bound", bed=options.at, belt=options.belt.upper()))
    return DONE


def _simple(operation: str) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        arguments = {"release": lambda: {"bed": options.at}, "identify": lambda: {"belt": options.belt}}[operation]()
        _say(options, _ask(options, operation, arguments), _words(options)("provision.done"))
        return DONE

    return run


def _calibrate(options: argparse.Namespace) -> int:
    t = _words(options)
    if not options.json:
        print(t("provision.calibrating"), file=sys.stderr)
    result = _ask(options, "calibrate", {"bed": options.at, "what": options.what})
    place = "empty" if options.what == "empty" else result["place"] or "empty"
    _say(options, result, t(f"provision.calibrated_{place}"))
    return DONE if place in ("empty", "middle") else FAILED


def _walk_test(options: argparse.Namespace) -> int:
    from gateway.commands.provision_walk import walk

    result = walk(lambda operation, arguments: _ask(options, operation, arguments), options.at, _words(options))
    t = _words(options)
    _say(options, result, t(f"provision.walk_over_{'passed' if result['passed'] else 'failed'}", bed=options.at))
    return DONE if result["passed"] else FAILED


def _survey(options: argparse.Namespace) -> int:
    from gateway.provision_words import survey_text

    result = _ask(options, "survey", {"seconds": options.seconds})
    _say(options, result, "\n".join(survey_text(_words(options), row) for row in result["beds"]))
    return DONE if result["passed"] else FAILED


def _batch(options: argparse.Namespace) -> int:
    from gateway.commands.provision_tables import read_batch
    from gateway.provision_error import ProvisionError
    from gateway.provision_words import explain

    rows, done, failed = read_batch(options.csv), [], []
    for number, (bed, label) in enumerate(rows, 1):
        try:
            done.append(_ask(options, "plan", {"bed": bed, "label": label}))
        except ProvisionError as error:
            failed.append({"bed": bed, "code": error.code, "message": explain(_words(options), error)})
        if not options.json:
            print(f"\r{number}/{len(rows)}", end="", file=sys.stderr, flush=True)
    if not options.json:
        print(file=sys.stderr)
    lines = [_t(options, Phrase("{count} planned", count=len(done)))]
    lines += [f"{row['bed']}: {row['message']}" for row in failed]
    _say(options, {"planned": done, "failed": failed}, "\n".join(lines))
    return FAILED if failed else DONE


def _labels(options: argparse.Namespace) -> int:
    from gateway.commands.provision_tables import belt_labels, read_belts
    from gateway.papers_pdf import label_sheet
    from gateway.provision_papers import bed_labels

    if options.belts is not None:
        labels = belt_labels(read_belts(options.belts))
    else:
        from gateway.config import load_config

        config = load_config(options.config)
        labels = bed_labels(config.gateway.id, {bed.label: bed.room for bed in config.beds})
    _put(options.out, label_sheet(labels, options.lang), private=options.belts is not None)
    _say(options, {"file": str(options.out), "labels": len(labels)},
         _t(options, Phrase("{file}: {count} labels", file=options.out, count=len(labels))))
    return DONE


def _certificate(options: argparse.Namespace) -> int:
    from gateway.papers_pdf import acceptance_pdf

    certificate = _ask(options, "certificate", {})
    written = [options.out / "acceptance.json"]
    options.out.mkdir(parents=True, exist_ok=True)
    _put(written[0], json.dumps(certificate, ensure_ascii=False, indent=1).encode())
    for language in ("zh", "en"):
        written.append(options.out / f"acceptance-{language}.pdf")
        _put(written[-1], acceptance_pdf(certificate, language))
    accepted, signer = certificate["acceptance"]["accepted"], certificate["signature"]["public_key"]
    t = _words(options)
    key = "acceptance.accepted" if accepted else "acceptance.not_accepted"
    text = [t(key), f"Ed25519 {signer}", *map(str, written)]
    _say(options, {"accepted": accepted, "public_key": signer, "files": [str(file) for file in written]},
         "\n".join(text))
    return DONE if accepted else FAILED


def _verify(options: argparse.Namespace) -> int:
    from gateway.acceptance import CertificateError, attached, verify

    content = options.file.read_bytes()
    if content.startswith(b"%PDF"):
        certificate = attached(content)
    else:
        try:
            certificate = json.loads(content)
        except ValueError:
            raise CertificateError(Phrase("{file}: neither a certificate nor a PDF", file=options.file)) from None
    said, signer = verify(certificate, options.public_key)
    if said["kind"].startswith("sleepbelt wipe"):
        _say(options, {"ok": True, "public_key": signer, "wipe": said},
             _t(options, Phrase("good: gateway {gateway}, {erased} files erased, {left} left, signed by {signer}",
                                gateway=said["gateway"], erased=len(said["erased"]), left=len(said["left"]),
                                signer=signer)))
        return DONE
    tests = {bed["bed"]: bed["walk_test"] for bed in said["beds"]}
    words = {None: Phrase("not tested"), True: Phrase("passed"), False: Phrase("failed")}
    beds = [Phrase("  {bed}: {result}", bed=bed, result=words[test and test["passed"]]) for bed, test in tests.items()]
    accepted = Phrase("accepted") if said["accepted"] else Phrase("not accepted")
    good = Phrase("good: gateway {gateway}, {accepted}, signed by {signer}", gateway=said["gateway"], accepted=accepted,
                  signer=signer)  # fmt: skip
    _say(options, {"ok": True, "public_key": signer, "acceptance": said}, _t(options, lines([good, *beds])))
    return DONE


def _backup(options: argparse.Namespace) -> int:
    from gateway.backup import back_up

    made = back_up(options.config, options.out, _passphrase(options, again=True), nights=options.nights)
    _say(options, made, _t(options, Phrase("{file}: gateway {gateway}, {bytes} bytes. Keep the passphrase apart.",
                                           file=made["file"], gateway=made["gateway"], bytes=made["bytes"])))
    return DONE


def _restore(options: argparse.Namespace) -> int:
    from gateway.backup import restore

    made = restore(options.file, options.config, options.data_dir, _passphrase(options), replace=options.replace)
    _say(options, made, _t(options, Phrase(
        "{config} and {folder} are in place; {count} belts get new keys at their next session. Start the gateway, and "
        "switch the old one off for good.",
        config=made["config"], folder=made["data_dir"], count=made["belts_to_rekey"])))  # fmt: skip
    return DONE


def _decommission(options: argparse.Namespace) -> int:
    if not options.yes:
        print(f"sleepbelt provision: {_t(options, Phrase('this cannot be undone; say --yes'))}", file=sys.stderr)
        return BAD_INPUT
    proof = _ask(options, "decommission", {"belt": options.belt})
    left: object = proof["records_left"]
    if left is None:
        left = Phrase("not known, its answer was lost")
    refuses = Phrase("yes") if proof["refuses_since"] else Phrase("no")
    _say(options, proof, _t(options, Phrase("{belt}: records left: {left}; refuses sessions: {refuses}",
                                            belt=proof["belt"].upper(), left=left, refuses=refuses)))
    return DONE if proof["refuses_since"] and proof["wiped"] else FAILED


def _export(options: argparse.Namespace) -> int:
    from gateway.commands.provision_bed import export

    done = export(options)
    _say(options, done, _words(options)("provision.exported", **done))
    return DONE


def _erase(options: argparse.Namespace) -> int:
    from gateway.commands.provision_bed import erase

    done = erase(lambda operation, arguments: _ask(options, operation, arguments), options)
    _say(options, done, _words(options)("provision.erased", **done))
    return DONE


def _wipe(options: argparse.Namespace) -> int:
    from gateway.commands.provision_wipe import wipe

    done = wipe(lambda operation, arguments: _ask(options, operation, arguments), options, _words(options))
    _say(options, done, done["message"])
    return DONE if done["ok"] else FAILED


# -- inside ------------------------------------------------------------------------------------------------------------


def _ask(options: argparse.Namespace, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from gateway.config import load_config
    from gateway.provision_socket import ask

    return ask(load_config(options.config).gateway.data_dir, operation, arguments)


def _words(options: argparse.Namespace) -> Any:
    """The words that the page has too."""
    from cloud_sync.pages.language import strings

    return strings(options.lang)


def _t(options: argparse.Namespace, phrase: Phrase) -> str:
    """The command's own."""
    return Words(options.lang)(phrase)


def _say(options: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if options.json else text, flush=True)


def _put(file: Path, content: bytes, *, private: bool = False) -> None:
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644), "wb") as out:
        out.write(content)
    part.replace(file)


def _passphrase(options: argparse.Namespace, *, again: bool = False) -> str:
    from gateway.backup import BackupError

    if options.passphrase_file is not None:
        return str(options.passphrase_file.read_text("utf-8")).strip("\r\n")
    import getpass

    given = getpass.getpass(_t(options, Phrase("passphrase: ")))
    if again and getpass.getpass(_t(options, Phrase("once more: "))) != given:
        raise BackupError(Phrase("the two passphrases differ; begin again"))
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt provision", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, default=Path(CONFIG), metavar="FILE", help=f"default {CONFIG}")
    common.add_argument("--json", action="store_true", help="print one JSON object")
    add_language(common)
    steps = parser.add_subparsers(required=True, metavar="STEP")

    def step(name: str, run: Callable[[argparse.Namespace], int], help_text: str) -> argparse.ArgumentParser:
        made = steps.add_parser(name, parents=[common], help=help_text, description=help_text)
        made.set_defaults(run=run)
        return made

    setup = step("setup", _setup, "make gateway.toml from a site file")
    setup.add_argument("--site", type=Path, metavar="FILE", help="without one: no beds yet, the page takes it")
    setup.add_argument("--check", action="store_true", help="only say what is wrong, or what would change")
    setup.add_argument("--remove-beds", action="store_true", help="also where the site file has fewer beds")
    setup.add_argument("--replace", action="store_true", help="also where a configuration is already")
    step("scan", _scan, "belts in range with their strength, beds and what is bound")
    claim = step("claim", _claim, "take a belt over by its label, and bind it with --bed")
    claim.add_argument("label", help="its text, or - to read it from stdin (a hand scanner, or to keep it secret)")
    claim.add_argument("--belt", default="", metavar="SERIAL", help="one that `scan` lists; `label` is its code alone")
    claim.add_argument("--bed", default="")
    bind = step("bind", _bind, "put a belt that is claimed or planned at a bed")
    bind.add_argument("belt")
    bind.add_argument("at", metavar="bed")
    swap = step("swap", _swap, "another belt for a bed; its history stays")
    swap.add_argument("at", metavar="bed")
    swap.add_argument("label")
    step("release", _simple("release"), "take the belt off a bed").add_argument("at", metavar="bed")
    step("identify", _simple("identify"), "let a belt blink").add_argument("belt")
    calibrate = step("calibrate", _calibrate, "measure a bed empty or occupied, and where the belt lies")
    calibrate.add_argument("at", metavar="bed")
    calibrate.add_argument("what", choices=("empty", "occupied"))
    step("walk-test", _walk_test, "the eight steps, asked one by one").add_argument("at", metavar="bed")
    survey = step("survey", _survey, "how well every bound belt was heard, with advice")
    survey.add_argument("--seconds", type=int, default=60)
    step("batch", _batch, "plan beds from a CSV with the columns bed,label").add_argument("csv", type=Path)
    labels = step("labels", _labels, "sheets of labels with QR codes as PDF: of the beds, or of --belts CSV")
    labels.add_argument("--belts", type=Path, metavar="CSV", help="columns serial,model,claim_secret or label")
    labels.add_argument("--out", type=Path, required=True, metavar="PDF")
    step("certificate", _certificate, "the signed acceptance certificate, JSON and PDF in both languages").add_argument(
        "--out", type=Path, required=True, metavar="DIR")
    verify = step("verify", _verify, "check an acceptance certificate (JSON or PDF)")
    verify.add_argument("file", type=Path)
    verify.add_argument("--public-key", default="", metavar="HEX", help="the only key that counts")
    backup = step("backup", _backup, "configuration, belts and evidence, encrypted")
    backup.add_argument("--out", type=Path, required=True, metavar="FILE")
    backup.add_argument("--nights", action="store_true", help="with all vitals")
    restore = step("restore", _restore, "put a backup in place; belts get new keys")
    restore.add_argument("file", type=Path)
    restore.add_argument("--data-dir", type=Path, default=Path("/var/lib/sleepbelt"), metavar="DIR")
    restore.add_argument("--replace", action="store_true", help="also where a gateway's files are already")
    for each in (backup, restore):
        each.add_argument("--passphrase-file", type=Path, metavar="FILE")
    for name, run, help_text in (
        ("export", _export, "write out all that is kept of one bed in a time: for whoever lay there"),
        ("erase", _erase, "erase all that is kept of one bed in a time, from every file; the platform has its own"),
    ):
        of_bed = step(name, run, help_text)
        of_bed.add_argument("at", metavar="bed")
        of_bed.add_argument("--from", dest="since", metavar="DATE", help="the gateway's zone; default: the beginning")
        of_bed.add_argument("--to", dest="until", metavar="DATE", help="not included; default: now")
        if name == "export":
            of_bed.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
        else:
            of_bed.add_argument("--yes", default="", metavar="BED", help="the bed again, to confirm")
    erase = step("wipe", _wipe, "take this whole gateway out of service: belts given up, everything erased, with proof")
    erase.add_argument("--gateway", required=True, metavar="NAME", help="its name, to confirm")
    erase.add_argument("--belts-out", type=Path, metavar="CSV", help="where the belts' new claim codes go (needed)")
    erase.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the signed proof goes")
    erase.add_argument("--leave-belts", action="store_true", help="also if belts cannot be reached or nothing runs")
    erase.add_argument("--with-config", action="store_true", help="also gateway.toml and the secrets that it names")
    retire = step("decommission", _decommission, "take a belt out of service for good: wiped, and it proves it")
    retire.add_argument("belt")
    retire.add_argument("--yes", action="store_true")
    return parser
