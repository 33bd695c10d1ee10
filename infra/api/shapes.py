"""Serializers made from the presenters' dataclasses, so that the API says what the page says and its schema follows."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import datetime
from functools import cache
from typing import Any

from rest_framework import serializers

Fields = dict[type, type[serializers.Field[Any, Any, Any, Any]]]

FIELDS: Fields = {
    str: serializers.CharField,
    bool: serializers.BooleanField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
    datetime: serializers.DateTimeField,
}


@cache
def serializer_of(shape: type) -> type[serializers.Serializer[Any]]:
    """Return a read-only serializer for a dataclass; raises TypeError for a member that JSON cannot hold."""
    hints = typing.get_type_hints(shape)
    members = {one.name: field_for(hints[one.name]) for one in dataclasses.fields(shape)}
    return type(f"{shape.__name__}Serializer", (serializers.Serializer,), {**members, "__doc__": shape.__doc__})


def field_for(kind: Any, **options: Any) -> serializers.Field[Any, Any, Any, Any]:
    """Return the field for a type annotation."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return serializers.ListField(child=field_for(inner[0]), **options)
    if origin in (typing.Union, types.UnionType):
        (kind,) = [one for one in inner if one is not types.NoneType]
        return field_for(kind, allow_null=True, **options)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return serializer_of(kind)(**options)
    for base, field in FIELDS.items():
        if isinstance(kind, type) and issubclass(kind, base):
            return field(**options)
    raise TypeError(f"{kind} has no place in a body")
