"""Sessions and the slowing of guesses, with numbers for clocks."""

from __future__ import annotations

import pytest

from cloud_sync.pages.pins import PinError, hash_pin, pin_matches
from cloud_sync.pages.sessions import SESSIONS_MAX, LoginLimiter, SessionStore, anonymous_token
from cloud_sync.pages.settings import Account

NIGHT_CARER = Account("night", "carer", "scrypt$unused")


def test_a_session_lasts_while_it_is_used() -> None:
    store = SessionStore(idle_s=100, max_s=1000)
    token = store.begin(NIGHT_CARER, 0)
    assert [store.account(token, now_s, touch=True) for now_s in (90, 180, 270)] == [NIGHT_CARER] * 3


def test_watching_a_stream_does_not_keep_a_session_alive() -> None:
    store = SessionStore(idle_s=100, max_s=1000)
    token = store.begin(NIGHT_CARER, 0)
    store.account(token, 90, touch=False)
    assert store.account(token, 110, touch=True) is None


def test_a_session_ends_after_its_longest_life_even_in_use() -> None:
    store = SessionStore(idle_s=100, max_s=150)
    token = store.begin(NIGHT_CARER, 0)
    store.account(token, 90, touch=True)
    assert store.account(token, 151, touch=True) is None


def test_signing_out_ends_the_session_at_once() -> None:
    store = SessionStore(idle_s=100, max_s=1000)
    token = store.begin(NIGHT_CARER, 0)
    store.end(token)
    assert store.account(token, 1, touch=True) is None


def test_the_longest_unused_session_gives_way_when_the_store_is_full() -> None:
    store = SessionStore(idle_s=1e9, max_s=1e9)
    tokens = [store.begin(NIGHT_CARER, now_s) for now_s in range(SESSIONS_MAX + 1)]
    alive = [store.account(token, SESSIONS_MAX + 1, touch=False) is not None for token in tokens]
    assert alive == [False] + [True] * SESSIONS_MAX


@pytest.mark.parametrize("offered", [None, "", "0" * 64, "ü", "\ud800"])
def test_a_wrong_csrf_token_never_matches(offered: str | None) -> None:
    store = SessionStore(1, 1)
    assert not store.csrf_matches(anonymous_token(), offered)


def test_a_csrf_token_belongs_to_one_cookie_of_one_server() -> None:
    store, other = SessionStore(1, 1), SessionStore(1, 1)
    mine, yours = anonymous_token(), anonymous_token()
    assert store.csrf_matches(mine, store.csrf(mine))
    assert not store.csrf_matches(yours, store.csrf(mine))
    assert not other.csrf_matches(mine, store.csrf(mine))


def test_guessing_is_free_five_times_then_waits_twice_as_long_each_time() -> None:
    limiter = LoginLimiter(free=5, wait_s=15)
    assert [limiter.try_now("10.0.0.7", 0) for _ in range(6)] == [0, 0, 0, 0, 0, 15]
    assert limiter.try_now("10.0.0.7", 15) == 0
    assert limiter.try_now("10.0.0.7", 15) == 30
    assert limiter.try_now("10.0.0.8", 15) == 0


def test_a_day_of_guessing_tries_fewer_than_two_hundred_pins() -> None:
    limiter, tries, now_s = LoginLimiter(free=5), 0, 0.0
    while now_s < 86_400:
        wait_s = limiter.try_now("10.0.0.7", now_s)
        tries += wait_s == 0
        now_s += wait_s
    assert tries < 200


def test_success_forgets_earlier_failures() -> None:
    limiter = LoginLimiter(free=2)
    limiter.try_now("a", 0)
    limiter.succeeded("a")
    assert [limiter.try_now("a", 0) for _ in range(2)] == [0, 0]


def test_the_limiter_remembers_a_bounded_number_of_addresses() -> None:
    limiter = LoginLimiter(free=1, wait_s=60)
    for n in range(LoginLimiter.KEYS_MAX + 1):
        limiter.try_now(f"address {n}", 0)
    assert limiter.try_now(f"address {LoginLimiter.KEYS_MAX}", 1) == 59
    assert limiter.try_now("address 0", 1) == 0


def test_a_pin_matches_its_own_hash_only() -> None:
    stored = hash_pin("4827")
    assert pin_matches("4827", stored)
    assert not pin_matches("4828", stored)
    assert "4827" not in stored


@pytest.mark.parametrize(
    "stored", ["", "scrypt$", "4827", "scrypt$40$8$1$00$00", "scrypt$13$8$2$zz$00", "scrypt$a$b$c$d$e"]
)
def test_a_stored_text_that_is_no_hash_matches_nothing(stored: str) -> None:
    assert not pin_matches("4827", stored)


@pytest.mark.parametrize("pin", ["", "123", "1111", "1234", "9876", "7890", "x" * 65])
def test_a_pin_that_is_guessed_first_is_refused_without_repeating_it(pin: str) -> None:
    with pytest.raises(PinError) as caught:
        hash_pin(pin)
    assert not pin or pin not in str(caught.value)
