"""Secrets stay out of logs, exceptions and screens."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import time
from collections.abc import Iterator

import pytest

from integrations.http.redact import MASK, Hidden, RedactingFilter, _tainted, redact, taint, without_secrets


@pytest.fixture(autouse=True)
def _nothing_tainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with nothing remembered, and leave what the other tests of this process have tainted."""
    monkeypatch.setattr("integrations.http.redact._tainted", type(_tainted)())


class TestPatterns:
    @pytest.mark.parametrize(
        "text",
        [
            "password=SECRETVALUE",
            "https://x.example/list?pipl_username=a&pipl_password=SECRETVALUE&skip=0",
            '{"password": "SECRETVALUE", "a": 1}',
            '{"appPassword":"SECRETVALUE with \\"quotes\\" SECRETVALUE"}',
            "{'smtp_password': 'SECRETVALUE'}",
            '{"password": "SECRETVALUE',
            "X-API-KEY: SECRETVALUE",
            "x-auth-zapmail: SECRETVALUE",
            "api_key=SECRETVALUE",
            "Authorization: Bearer SECRETVALUE",
            "Authorization: SECRETVALUE",
            "Basic SECRETVALUE",
            "postgres://user:SECRETVALUE@localhost/db",
            "access_token=SECRETVALUE; path=/",
            "sk_live_SECRETVALUE",
            "whsec_SECRETVALUE",
            "-----BEGIN PRIVATE KEY-----\nSECRETVALUE\n-----END PRIVATE KEY-----",
        ],
    )
    def test_what_looks_like_a_secret(self, text: str) -> None:
        assert "SECRETVALUE" not in redact(text)

    @pytest.mark.parametrize(
        "text",
        [
            "bought getexamplebrand.com for 12.99",
            "the password was wrong",
            "this step must wait until next hour",
            "https://x.example/list?workspace_id=65f0c0ffee00000000000001&skip=0",
        ],
    )
    def test_what_does_not(self, text: str) -> None:
        assert redact(text) == text

    def test_the_rest_of_the_line_stays(self) -> None:
        assert redact('{"password": "x1y2z3", "skip": 0}') == f'{{"password": {MASK}, "skip": 0}}'

    def test_no_input_makes_a_pattern_try_every_way(self) -> None:
        started = time.process_time()
        for piece in ("password", "a.b-", '"password": "', "token=", "x:y@", "Bearer ", "eyJ-", "a://b:", "\\", " "):
            redact(piece * (200_000 // len(piece)))
        assert time.process_time() - started < 60  # a second or so; trying every way would take hours


class TestTaint:
    def test_a_tainted_value_goes_wherever_it_stands(self) -> None:
        taint("p@ss word/1")
        for text in ("said p@ss word/1.", "q=p%40ss%20word%2F1", "q=p%40ss+word%2F1"):
            assert "word" not in redact(text)

    def test_the_longer_secret_first(self) -> None:
        taint("abcdef")
        taint("abcdefghij")
        assert redact("abcdefghij") == MASK

    def test_short_values_would_blot_out_everything(self) -> None:
        taint("1")
        assert redact("1 of 10") == "1 of 10"

    def test_memory_is_bounded_and_keys_stay(self) -> None:
        taint("our-own-key", pinned=True)
        for number in range(2_100):
            taint(f"mailbox-password-{number}")
        assert redact("our-own-key mailbox-password-2099") == f"{MASK} {MASK}"
        assert redact("mailbox-password-7!") == "mailbox-password-7!"


class TestHidden:
    secret = Hidden("very-secret-1")

    def test_opens_by_name_only(self) -> None:
        assert self.secret.open() == "very-secret-1"
        for shown in (repr(self.secret), str(self.secret), f"{self.secret}", f"{self.secret:>20}"):
            assert "very" not in shown

    def test_refuses_pickle_and_json(self) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(self.secret)
        with pytest.raises(TypeError):
            json.dumps({"a": self.secret})

    def test_equality_and_copies(self) -> None:
        assert self.secret == Hidden("very-secret-1")
        assert self.secret != Hidden("other")
        assert self.secret != "very-secret-1"
        assert copy.deepcopy(self.secret) is copy.copy(self.secret) is self.secret
        assert len({self.secret, Hidden("very-secret-1")}) == 1
        assert not Hidden("")

    def test_taints_its_value(self) -> None:
        Hidden("very-secret-2")
        assert redact("got very-secret-2") == f"got {MASK}"


class TestLogging:
    @pytest.fixture
    def log(self) -> Iterator[tuple[logging.Logger, io.StringIO]]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(RedactingFilter())
        handler.setFormatter(logging.Formatter("%(message)s %(detail)s", defaults={"detail": ""}))
        logger = logging.getLogger("tests.redact")
        logger.propagate = False
        logger.addHandler(handler)
        yield logger, stream
        logger.removeHandler(handler)

    def test_message_and_arguments(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        log[0].warning("sent %s to %s", "password=hunter22", "host")
        assert log[1].getvalue().startswith(f"sent password={MASK} to host")

    def test_tracebacks(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        secret = taint("in-the-" + "traceback")
        try:
            raise ValueError(f"broken by {secret}")
        except ValueError:
            log[0].exception("it broke")
        assert secret not in log[1].getvalue()
        assert "ValueError: broken by" in log[1].getvalue()

    def test_extra_fields(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        log[0].warning("x", extra={"detail": "api_key=abcdef123"})
        assert "abcdef123" not in log[1].getvalue()

    def test_a_broken_format_still_logs(self, log: tuple[logging.Logger, io.StringIO]) -> None:
        log[0].warning("two %s %s", "password=hunter22")
        assert "two %s %s" in log[1].getvalue()
        assert "hunter22" not in log[1].getvalue()


def test_documents_without_named_members() -> None:
    document = {"data": {"domains": [{"mailboxes": [{"appPassword": "x", "id": 1}]}]}, "note": "password=hunter22"}
    assert without_secrets(document, frozenset({"apppassword"})) == {
        "data": {"domains": [{"mailboxes": [{"appPassword": MASK, "id": 1}]}]},
        "note": f"password={MASK}",
    }
