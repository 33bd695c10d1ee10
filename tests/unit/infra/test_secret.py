"""Secrets show themselves to nobody who does not ask by name, and open only where they belong."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder

from infra import secret
from infra.models import Credential, KeyCanary
from infra.secret import Secret, SecretUnreadable

PLAIN = "correct-horse-battery"
PLACE = "infra_credential/1/password"


def key(letter: str) -> str:
    return base64.urlsafe_b64encode(letter.encode() * 32).decode()


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [key("a")]


# ---- the value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, "{!r}".format, "{:>40}".format, lambda s: f"{s}", lambda s: "%s" % s, lambda s: repr([s])],  # noqa: UP031
)
def test_a_secret_shows_nothing(show: Any) -> None:
    assert PLAIN not in show(Secret(PLAIN))


@pytest.mark.parametrize("encoder", [json.JSONEncoder, DjangoJSONEncoder])
def test_json_refuses_a_secret(encoder: type[json.JSONEncoder]) -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(PLAIN)}, cls=encoder)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_refuses_a_secret(protocol: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(PLAIN), protocol)


def test_copies_are_refused_too() -> None:
    with pytest.raises(TypeError):
        copy.copy(Secret(PLAIN))


def test_a_secret_has_no_attribute_that_holds_it() -> None:
    assert not hasattr(Secret(PLAIN), "__dict__")
    with pytest.raises(TypeError):
        hash(Secret(PLAIN))


def test_logging_a_secret_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("password %s", Secret(PLAIN), extra={"password": Secret(PLAIN)})
    assert PLAIN not in caplog.text


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


# ---- the token -------------------------------------------------------------------------------------------------------


def test_a_token_opens_where_it_belongs() -> None:
    token = secret.encrypt(PLAIN, bound_to=PLACE)
    assert PLAIN not in token
    assert secret.decrypt(token, bound_to=PLACE) == PLAIN


def test_equal_texts_have_different_tokens() -> None:
    assert secret.encrypt(PLAIN, bound_to=PLACE) != secret.encrypt(PLAIN, bound_to=PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    ["infra_credential/2/password", "infra_credential/1/login", "provisioning_capture/1/password", ""],
)
def test_a_moved_token_does_not_open(elsewhere: str) -> None:
    with pytest.raises(SecretUnreadable):
        secret.decrypt(secret.encrypt(PLAIN, bound_to=PLACE), bound_to=elsewhere)


def test_a_changed_token_does_not_open() -> None:
    head, name, payload = secret.encrypt(PLAIN, bound_to=PLACE).split(":")
    blob = bytearray(base64.urlsafe_b64decode(payload))
    blob[-1] ^= 1
    with pytest.raises(SecretUnreadable):
        secret.decrypt(f"{head}:{name}:{base64.urlsafe_b64encode(bytes(blob)).decode()}", bound_to=PLACE)


def test_a_new_key_in_front_opens_what_the_old_one_closed(settings: Any) -> None:
    old = secret.encrypt(PLAIN, bound_to=PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [key("b"), key("a")]

    assert secret.decrypt(old, bound_to=PLACE) == PLAIN
    new = secret.encrypt(PLAIN, bound_to=PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [key("b")]
    assert secret.decrypt(new, bound_to=PLACE) == PLAIN
    with pytest.raises(SecretUnreadable):
        secret.decrypt(old, bound_to=PLACE)


def test_a_wrong_key_says_so_without_the_text(settings: Any) -> None:
    token = secret.encrypt(PLAIN, bound_to=PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [key("z")]
    with pytest.raises(SecretUnreadable, match="no key opens") as caught:
        secret.decrypt(token, bound_to=PLACE)
    assert PLAIN not in str(caught.value)
    assert token not in str(caught.value)


# ---- the field -------------------------------------------------------------------------------------------------------


def test_the_field_takes_secrets_only() -> None:
    with pytest.raises(TypeError, match="takes a Secret"):
        Credential(password=PLAIN)


@pytest.fixture
def stored(db: None) -> Credential:
    from tests.integration.world import new_order

    provision = new_order()
    return Credential.objects.create(
        provision=provision, student=provision.student, kind="sending_tool", login="ada", password=Secret(PLAIN)
    )


def test_the_column_holds_no_plain_text(stored: Credential) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM infra_credential")
        [(token,)] = cursor.fetchall()
    assert PLAIN not in token
    assert Credential.objects.get().password.open() == PLAIN


def test_a_token_copied_into_another_row_does_not_open(stored: Credential) -> None:
    other = Credential.objects.create(
        provision=stored.provision, student=stored.student, kind="other", login="bo", password=Secret("mine")
    )
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE infra_credential SET password = (SELECT password FROM infra_credential WHERE id = %s) WHERE id = %s",
            [stored.pk, other.pk],
        )
    other.refresh_from_db()
    with pytest.raises(SecretUnreadable):
        other.password.open()


def test_updating_many_rows_at_once_is_refused(stored: Credential) -> None:
    """One token would be written to all of them, and open in none."""
    with pytest.raises(TypeError, match="bound to the row"):
        Credential.objects.update(password=Secret("new"))


def test_saving_again_renews_the_token_under_the_newest_key(stored: Credential, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [key("b"), key("a")]
    row = Credential.objects.get()
    row.password = Secret(row.password.open())
    row.save()
    settings.FIELD_ENCRYPTION_KEYS = [key("b")]
    assert Credential.objects.get().password.open() == PLAIN


def test_deferred_and_saved_unopened_it_stays(stored: Credential) -> None:
    row = Credential.objects.defer("password").get()
    row.login = "changed"
    row.save()
    assert Credential.objects.get().password.open() == PLAIN


def test_serialisers_give_no_plain_text(stored: Credential) -> None:
    for form in ("json", "python", "jsonl"):
        assert PLAIN not in str(serializers.serialize(form, [stored]))
        assert PLAIN not in str(serializers.serialize(form, Credential.objects.all()))


def test_dumpdata_gives_no_plain_text(stored: Credential, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("dumpdata", "infra.credential")
    dumped = capsys.readouterr().out
    assert str(stored.pk) in dumped
    assert PLAIN not in dumped


def test_a_row_says_nothing_of_its_secret(stored: Credential) -> None:
    row = Credential.objects.get()
    assert PLAIN not in f"{row!r} {row} {row.__dict__}"


# ---- the canary ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_canary_dies_of_wrong_keys(settings: Any) -> None:
    KeyCanary.objects.all().delete()
    secret.check_canary()
    secret.check_canary()
    settings.FIELD_ENCRYPTION_KEYS = [key("z")]
    with pytest.raises(SecretUnreadable):
        secret.check_canary()
