"""Claim tokens, certificates and their revocation, on the platform's side."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from cloud_sync.authority import Authority, AuthorityError, is_signed_by, make_request, open_authority
from cloud_sync.receiver.enrolment import (
    ENROLMENT,
    REVOKED_FILE,
    TOKEN_S,
    TRIES_MAX,
    TRIES_S,
    Enrolment,
    EnrolmentError,
    token_text,
)
from cloud_sync.receiver.stores.base import StoreError

NOW_S = 1_795_000_000
DAY_S = 86_400


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path, "Sunrise", datetime.fromtimestamp(NOW_S, UTC))[0]


@pytest.fixture
def enrolment(tmp_path: Path, authority: Authority) -> Iterator[Enrolment]:
    opened = Enrolment(tmp_path / ENROLMENT, authority, tmp_path)
    yield opened
    opened.close()


def _refused(enrolment: Enrolment, token: str, now_s: int = NOW_S) -> str:
    with pytest.raises(EnrolmentError) as refused:
        enrolment.claim(token, make_request("gw-01")[0], now_s)
    return refused.value.code


def test_a_token_makes_one_certificate_for_its_gateway(enrolment: Enrolment, authority: Authority) -> None:
    token = enrolment.new_token("gw-01", NOW_S)
    request, key = make_request("somebody else")
    gateway, pem = enrolment.claim(token, request, NOW_S + 60)
    certificate = x509.load_pem_x509_certificate(pem)
    assert gateway == "gw-01"
    assert certificate.subject.rfc4514_string() == "CN=gw-01"
    assert certificate.public_key() == key.public_key()
    assert is_signed_by(certificate, authority.certificate)
    assert (certificate.not_valid_after_utc.timestamp() - NOW_S) // DAY_S == 90


def test_a_token_is_good_once(enrolment: Enrolment) -> None:
    token = enrolment.new_token("gw-01", NOW_S)
    enrolment.claim(token, make_request("gw-01")[0], NOW_S)
    assert _refused(enrolment, token) == "token_used"


def test_a_token_is_good_for_a_day(enrolment: Enrolment) -> None:
    token = enrolment.new_token("gw-01", NOW_S)
    assert _refused(enrolment, token, NOW_S + TOKEN_S) == "token_expired"


def test_a_new_token_voids_the_one_before(enrolment: Enrolment) -> None:
    first = enrolment.new_token("gw-01", NOW_S)
    enrolment.new_token("gw-01", NOW_S)
    assert _refused(enrolment, first) == "unknown_token"


def test_a_request_that_is_none_does_not_use_the_token_up(enrolment: Enrolment) -> None:
    token = enrolment.new_token("gw-01", NOW_S)
    with pytest.raises(AuthorityError, match="no signing request"):
        enrolment.claim(token, b"-----BEGIN", NOW_S)
    assert enrolment.claim(token.lower(), make_request("gw-01")[0], NOW_S)[0] == "gw-01"


@pytest.mark.parametrize("token", ["", "SBE1", "SBE1--", "SBE1-AAAA-BBBB", "SBE2-AA-BB", "é-é-é"])
def test_what_was_never_given_out_is_refused(enrolment: Enrolment, token: str) -> None:
    assert _refused(enrolment, token) == "unknown_token"


def test_guessing_is_slowed_down_and_a_good_token_waits_with_it(enrolment: Enrolment, authority: Authority) -> None:
    good = enrolment.new_token("gw-01", NOW_S)
    for number in range(TRIES_MAX):
        assert _refused(enrolment, token_text(bytes([number] * 16), authority.fingerprint)) == "unknown_token"
    assert _refused(enrolment, good) == "too_many_tries"
    assert enrolment.claim(good, make_request("gw-01")[0], NOW_S + TRIES_S)[0] == "gw-01"


def test_the_token_is_kept_as_a_hash_only(enrolment: Enrolment, tmp_path: Path) -> None:
    secret = enrolment.new_token("gw-01", NOW_S).split("-")[1]
    kept = b"".join(file.read_bytes() for file in tmp_path.glob(ENROLMENT + "*"))
    assert secret.encode() not in kept


def test_a_label_that_is_no_gateway_is_refused(enrolment: Enrolment) -> None:
    with pytest.raises(ValueError, match="no gateway label"):
        enrolment.new_token("a/b", NOW_S)


def test_renewal_needs_a_certificate_that_is_valid(enrolment: Enrolment) -> None:
    with pytest.raises(EnrolmentError, match="enrol it anew"):
        enrolment.renew("gw-01", make_request("gw-01")[0], NOW_S)
    enrolment.claim(enrolment.new_token("gw-01", NOW_S), make_request("gw-01")[0], NOW_S)
    renewed = x509.load_pem_x509_certificate(enrolment.renew("gw-01", make_request("gw-01")[0], NOW_S + 60 * DAY_S))
    assert (renewed.not_valid_after_utc.timestamp() - NOW_S) // DAY_S == 150
    with pytest.raises(EnrolmentError, match="enrol it anew"):
        enrolment.renew("gw-01", make_request("gw-01")[0], NOW_S + 151 * DAY_S)


def test_revocation_lists_every_certificate_of_the_gateway_and_ends_renewal(
    enrolment: Enrolment, authority: Authority, tmp_path: Path
) -> None:
    before = x509.load_pem_x509_crl((tmp_path / REVOKED_FILE).read_bytes())
    assert len(before) == 0
    _, pem = enrolment.claim(enrolment.new_token("gw-01", NOW_S), make_request("gw-01")[0], NOW_S)
    enrolment.claim(enrolment.new_token("gw-02", NOW_S), make_request("gw-02")[0], NOW_S)
    enrolment.renew("gw-01", make_request("gw-01")[0], NOW_S)
    assert enrolment.revoke("gw-01", NOW_S + 5) == 2
    listed = x509.load_pem_x509_crl((tmp_path / REVOKED_FILE).read_bytes())
    assert len(listed) == 2
    serial = x509.load_pem_x509_certificate(pem).serial_number
    assert listed.get_revoked_certificate_by_serial_number(serial) is not None
    assert listed.is_signature_valid(authority.key.public_key())
    with pytest.raises(EnrolmentError, match="enrol it anew"):
        enrolment.renew("gw-01", make_request("gw-01")[0], NOW_S + 10)
    assert [(one.gateway, one.revoked_s) for one in enrolment.enrolled()] == [("gw-01", NOW_S + 5), ("gw-02", None)]


def test_private_files_are_for_their_owner_only(enrolment: Enrolment, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "site-ca.key").stat().st_mode) == 0o600


def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "later.db"
    with closing(sqlite3.connect(file)) as direct:
        direct.executescript("CREATE TABLE claims (x); PRAGMA user_version=99;")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="version 99"):
        Enrolment(file, authority, tmp_path)
    assert file.read_bytes() == before
