"""`make deb`: the appliance's packages, for amd64 and arm64, on either of them, the same bytes each time.

Wheels come from the lock file by their hashes (kept in build/deb/wheels), are unpacked into an environment under
/opt/sleepbelt, and the tree of tools/deb/root goes beside it. Nothing is compiled and nothing of the target is run, so
an amd64 machine makes arm64's package. At installation no network is needed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
WORK = ROOT / "build" / "deb"
PYTHON = "3.11"
LOCK = ROOT / "requirements" / "appliance.lock"
DOCS = ("README.md", "README.zh-CN.md", "SECURITY.md", "docs/appliance.md", "docs/configuration.md", "docs/hazards.md",
        "docs/alerting.md", "docs/alerting-outlets.md", "docs/evidence.md")  # fmt: skip
GLIBC = ("2_36", "2_35", "2_34", "2_31", "2_28", "2_27", "2_24", "2_17")
PROGRAMS = ("usr/bin", "usr/lib/sleepbelt", "opt/sleepbelt/bin")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def main() -> int:
    """Build; prints the packages' paths. 0 done, 1 failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.deb.build", description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m tools.deb.build --arch arm64 --out dist",
    )  # fmt: skip
    parser.add_argument("--arch", nargs="+", choices=sorted(MACHINES), default=sorted(MACHINES))
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--version", help="another version than pyproject.toml's (for tests of updates)")
    parser.add_argument("--light", action="store_true", help="gzip in place of xz: larger, and sooner unpacked")
    arguments = parser.parse_args()
    epoch = os.environ.setdefault("SOURCE_DATE_EPOCH", _commit_time())
    version = arguments.version or _version()
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        own = own_wheel(WORK / "own")
        for architecture in arguments.arch:
            wheels = locked_wheels(architecture)
            tree = WORK / f"tree-{architecture}"
            built = build(architecture, version, own, wheels, tree, arguments.out, int(epoch), arguments.light)
            print(built, flush=True)
    except subprocess.CalledProcessError as error:
        print(f"deb: {error.cmd[0]} failed:\n{error.stderr or error.stdout}", file=sys.stderr)
        return 1
    return 0


def build(
    architecture: str, version: str, own: Path, wheels: Sequence[Path], tree: Path, out: Path, epoch: int,
    is_light: bool = False,
) -> Path:  # fmt: skip
    """The package of one architecture in `out`, by way of the folder `tree`; every time in it is `epoch` (Unix s)."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(HERE / "root", tree)
    site = tree / "opt/sleepbelt/lib" / f"python{PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    for wheel in [*wheels, own]:
        _unpack(wheel, site, version if wheel == own else None)
    _environment(tree / "opt/sleepbelt", version)
    _documents(tree / "usr/share/doc/sleepbelt", tree / "usr/share/man/man1", version, epoch)
    (tree / "usr/share/lintian/overrides").mkdir(parents=True)
    shutil.copy(HERE / "control/lintian-overrides", tree / "usr/share/lintian/overrides/sleepbelt")
    (tree / "etc/sleepbelt/update-keys.d").mkdir(parents=True)
    _modes(tree)
    _control(tree, architecture, version)
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (epoch, epoch), follow_symlinks=False)
    package = out / f"sleepbelt_{version}_{architecture}.deb"
    # One thread: what xz makes of a file depends on how many there are.
    packing = ("-Zgzip", "-z1") if is_light else ("-Zxz", "-z6", "--threads-max=1")
    command = ("dpkg-deb", "--root-owner-group", *packing, "--build", str(tree), str(package))
    _run(*command, SOURCE_DATE_EPOCH=str(epoch))
    return package


def own_wheel(folder: Path) -> Path:
    """The wheel of this source, made in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("sleepbelt-*.whl"))


def locked_wheels(architecture: str) -> list[Path]:
    """The locked wheels of an architecture; downloaded once for each lock."""
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = WORK / "wheels" / f"{architecture}-{key}"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        platforms = [f"--platform=manylinux_{glibc}_{MACHINES[architecture]}" for glibc in GLIBC]
        platforms.append(f"--platform=manylinux2014_{MACHINES[architecture]}")
        _run(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "--no-deps",
             "--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}",
             "--abi=cp311", "--abi=abi3", "--abi=none", *platforms, "--dest", str(part), "-r", str(LOCK))  # fmt: skip
        part.rename(folder)
    return sorted(folder.glob("*.whl"))


def _unpack(wheel: Path, site: Path, version: str | None) -> None:
    """A wheel's files; `version` replaces the one that our own says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            head, _, rest = name.partition("/")
            if head.endswith(".data"):
                kind, _, rest = rest.partition("/")
                if kind not in ("purelib", "platlib"):
                    continue  # scripts and headers: nobody calls them here
                target = site / rest
            else:
                target = site / name
            if name.endswith("/"):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            content = archive.read(name)
            if version is not None and name.endswith(".dist-info/METADATA"):
                content = re.sub(rb"(?m)^Version: .*$", f"Version: {version}".encode(), content, count=1)
            target.write_bytes(content)


def _environment(folder: Path, version: str) -> None:
    """A virtual environment made of text: no program of the target is needed for it."""
    (folder / "bin/python").symlink_to(f"/usr/bin/python{PYTHON}")
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n")
    (folder / "VERSION").write_text(version + "\n")


def _documents(folder: Path, manual: Path, version: str, epoch: int) -> None:
    folder.mkdir(parents=True)
    manual.mkdir(parents=True)
    for name in DOCS:
        shutil.copy(ROOT / name, folder / Path(name).name)
    shutil.copytree(ROOT / "docs/images", folder / "images")
    (folder / "examples").mkdir()
    sample = (ROOT / "docs/sleepbelt.sample.toml").read_text("utf-8")
    (folder / "examples/gateway.toml").write_text(sample.replace('"data"', '"/var/lib/sleepbelt"'), "utf-8")
    shutil.copy(ROOT / "docs/receiver.sample.toml", folder / "examples/receiver.toml")
    (folder / "copyright").write_text(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: sleepbelt\n\n"
        "Files: *\nCopyright: 2026 sleepbelt maintainers\nLicense: Apache-2.0\n On Debian systems the full text is in"
        " /usr/share/common-licenses/Apache-2.0.\n\n"
        "Files: opt/sleepbelt/lib/*\nCopyright: their authors\nLicense: see-metadata\n Each package under"
        " /opt/sleepbelt/lib has its licence in its .dist-info folder.\n"
    )
    log = f"sleepbelt ({version}) unstable; urgency=medium\n\n  * See README.md and docs for what is new.\n\n" \
          f" -- sleepbelt maintainers <maintainers@sleepbelt.invalid>  {formatdate(epoch)}\n"
    _gzip(folder / "changelog.gz", log.encode())
    _gzip(manual / "sleepbelt.1.gz", (HERE / "control/sleepbelt.1").read_bytes())


def _control(tree: Path, architecture: str, version: str) -> None:
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    size_kib = sum(-(-path.stat().st_size // 1024) for path in files)
    folder = tree / "DEBIAN"
    folder.mkdir()
    text = (HERE / "control/control").read_text()
    for name, value in (("VERSION", version), ("ARCHITECTURE", architecture), ("INSTALLED_SIZE", str(size_kib))):
        text = text.replace(f"@{name}@", value)
    (folder / "control").write_text(text)
    sums = [f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}"
            for path in files if path.relative_to(tree).parts[0] != "etc"]  # fmt: skip
    (folder / "md5sums").write_text("\n".join(sums) + "\n")
    for name in ("postinst", "prerm", "postrm", "conffiles"):
        shutil.copy(HERE / "control" / name, folder / name)
        (folder / name).chmod(0o644 if name == "conffiles" else 0o755)
    for name in ("control", "md5sums"):
        (folder / name).chmod(0o644)
    folder.chmod(0o755)


def _modes(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        is_program = path.is_file() and str(path.parent.relative_to(tree)) in PROGRAMS
        path.chmod(0o755 if path.is_dir() or is_program else 0o644)


def _gzip(file: Path, content: bytes) -> None:
    file.write_bytes(gzip.compress(content, 9, mtime=0))


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def _commit_time() -> str:
    """When the source was last committed; where there is no git, a fixed instant."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "1767225600"


def _run(*command: str, **environment: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})


if __name__ == "__main__":
    sys.exit(main())
