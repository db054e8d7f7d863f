"""What is wrong with a params.yaml, in its own words: the key first, then what is allowed there."""

from __future__ import annotations

import re
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from ..files.hints import did_you_mean
from .sections import Params


def explain(message: str, raw: Any) -> str:
    """Msgspec's message in the words of params.yaml: the key first, then what is allowed there."""
    text, _, location = message.partition(" - at `$")
    key = location.rstrip("`").lstrip(".")
    if "[...]" in key:
        key = _member_at_fault(key, raw)
    if unknown := re.match(r"Object contains unknown field `(.+)`", text):
        allowed = _fields_at(key)
        name = unknown[1]
        hint = did_you_mean(name, allowed)
        return f"{_join(key, name)}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if missing := re.match(r"Object missing required field `(.+)`", text):
        return f"{_join(key, missing[1])}: this key is required"
    if text.startswith("Invalid enum value"):
        return (
            f"{key}: {text.removeprefix('Invalid enum value ')} is not allowed; allowed: {_choices_at(key)}"
        )
    if "matching regex" in text and (words := _wanted_at(key, text)):
        return f"{key}: expected {words}"
    if text == "Expected `float`, got `str`":
        text += "; write 0.001 or 1.0e-3, since 1e-3 is text to YAML"
    return f"{key or 'the file'}: {text[0].lower()}{text[1:]}"


def _member_at_fault(key: str, raw: Any) -> str:
    """Msgspec says `models[...].train`; find which model it was."""
    section = key.partition("[...]")[0]
    member = _type_at(f"{section}.member")
    for name, value in raw[section].items() if isinstance(raw.get(section), dict) else ():
        try:
            msgspec.convert(value, member)
        except msgspec.ValidationError as error:
            rest = str(error).partition(" - at `$")[2].rstrip("`")
            return f"{section}.{name}{rest}".replace("[...]", "[…]")
    return key.replace("[...]", "[…]")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _type_at(key: str) -> Any:
    """The type that `Params` declares at a dotted key; `[…]` stands for any member."""
    current: Any = Params
    for step in re.findall(r"[^.\[\]]+", key):
        if structs := _structs(current):
            current = {field.name: field.type for field in msgspec.structs.fields(structs[0])}.get(step)
        else:
            # the values of a dict, the members of a tuple
            members = ([a for a in get_args(t) if a is not ...] for t in _variants(current) if get_args(t))
            current = next(members, [None])[-1]
    return current


def _variants(annotation: Any) -> list[Any]:
    """The plain types inside `Annotated`, unions and None."""
    if hasattr(annotation, "__metadata__"):
        return _variants(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        return [v for a in get_args(annotation) if a is not type(None) for v in _variants(a)]
    return [annotation]


def _fields_at(key: str) -> list[str]:
    structs = _structs(_type_at(key))
    return list(structs[0].__struct_fields__) if structs else []


def _structs(annotation: Any) -> list[type[msgspec.Struct]]:
    return [t for t in _variants(annotation) if isinstance(t, type) and issubclass(t, msgspec.Struct)]


def _wanted_at(key: str, text: str) -> str:
    """What the pattern in msgspec's message asks for, in the words that `sections` gives it."""
    metas = [meta for meta in _metas(_type_at(key)) if meta.pattern and repr(meta.pattern) in text]
    return next((meta.description for meta in metas if meta.description), "")


def _metas(annotation: Any) -> list[msgspec.Meta]:
    """What is noted of a type, and of those that it is a union of."""
    if hasattr(annotation, "__metadata__"):
        return [*annotation.__metadata__, *_metas(annotation.__origin__)]
    if get_origin(annotation) in (Union, UnionType):
        return [meta for a in get_args(annotation) for meta in _metas(a)]
    return []


def _choices_at(key: str) -> str:
    return ", ".join(str(c) for t in _variants(_type_at(key)) for c in get_args(t))
