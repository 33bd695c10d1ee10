"""Secrets at rest: one field type, one value type.

A secret is encrypted with AES-GCM under the first key of `FIELD_ENCRYPTION_KEYS` and bound to its table, row and field,
so that a ciphertext copied into another row does not open. What the field hands out is a `Secret`: it shows nothing in
`repr`, `str`, JSON or pickle, and is opened only by name. Why not django-cryptography: docs/decisions.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    TextField = models.TextField[Any, Any]
else:
    TextField = models.TextField


class SecretUnreadable(Exception):
    """No configured key opens this value, or it was moved from another row."""


class Secret:
    """A value that is shown only when somebody asks for it by name, with `open()`."""

    __slots__ = ("_open",)

    def __init__(self, value: str | Callable[[], str]) -> None:
        self._open: Callable[[], str] = value if callable(value) else lambda: value

    def open(self) -> str:
        """Return the plain text. Raises SecretUnreadable when no key fits."""
        return self._open()

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.open() == other.open()

    __hash__ = None  # type: ignore[assignment]


def _keys() -> list[bytes]:
    return [base64.urlsafe_b64decode(key) for key in settings.FIELD_ENCRYPTION_KEYS]


def _name(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def encrypt(text: str, *, bound_to: str) -> str:
    """Return the token of `text` under the newest key, bound to the place named by `bound_to`."""
    key, nonce = _keys()[0], os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), bound_to.encode())
    return f"v1:{_name(key)}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def decrypt(token: str, *, bound_to: str) -> str:
    """Return the text of `token`. Raises SecretUnreadable."""
    _, name, payload = token.split(":", 2)
    blob = base64.urlsafe_b64decode(payload)
    for key in _keys():
        if _name(key) == name:
            try:
                return AESGCM(key).decrypt(blob[:12], blob[12:], bound_to.encode()).decode()
            except InvalidTag:
                break
    raise SecretUnreadable(f"no key opens the value of {bound_to.rsplit('/', 1)[-1]}")


class _Stored(str):
    """A token as it came from the database."""


class _SecretAttribute:
    def __init__(self, field: SecretField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:
            instance.refresh_from_db(fields=[self.field.attname])
        value = instance.__dict__[self.field.attname]
        if isinstance(value, _Stored):
            token, place = str(value), self.field.place(instance)
            return Secret(lambda: decrypt(token, bound_to=place))
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        if value is not None and not isinstance(value, Secret | _Stored):
            raise TypeError(f"{self.field.name} takes a Secret")
        instance.__dict__[self.field.attname] = value


class SecretField(TextField):
    """A text column that holds a token and hands out `Secret`s. Its model needs a key that exists before the first save."""

    description = "An encrypted text"

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, self.attname, _SecretAttribute(self))

    def place(self, instance: models.Model) -> str:
        """Name the place a token is bound to."""
        return f"{instance._meta.db_table}/{instance.pk}/{self.column}"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> _Stored | None:
        return None if value is None else _Stored(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> str | None:
        value = model_instance.__dict__.get(self.attname)
        if isinstance(value, Secret):
            token = encrypt(value.open(), bound_to=self.place(model_instance))
            model_instance.__dict__[self.attname] = _Stored(token)
            return token
        return None if value is None else str(value)

    def get_prep_value(self, value: Any) -> str | None:
        if isinstance(value, Secret):
            raise TypeError("a Secret is written by saving its row: its token is bound to the row")
        return None if value is None else str(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Serialisers get the token, never the text."""
        value = obj.__dict__.get(self.attname)
        return str(value) if isinstance(value, _Stored) else ""


def check_canary() -> None:
    """Open the database's canary with the configured keys, or plant it. Raises SecretUnreadable."""
    from .models import KeyCanary

    canary, created = KeyCanary.objects.get_or_create(
        pk=1, defaults={"token": encrypt("the keys fit", bound_to="infra_keycanary/1/token")}
    )
    if not created:
        decrypt(canary.token, bound_to="infra_keycanary/1/token")
