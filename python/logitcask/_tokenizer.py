"""A student's tokenizer against the teacher's: the same, padded with added tokens, or another.

The rules are those of ``src/capture/tokenizer-compare.ts``; both pass test/golden/tokenizers.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .errors import LogitcaskError

#: What decides how a text becomes pieces; templates and decoders do not.
SECTIONS = ("normalizer", "pre_tokenizer")
FLAGS = ("lstrip", "rstrip", "normalized", "single_word")


class Comparison(NamedTuple):
    """Added tokens that differ, their ids by content; `difference` where more than these do.

    Attributes:
        moved: in both under another id, or added in the one and ordinary in the other.
        teacher_ids, student_ids: ids of all tokens by content.
    """

    difference: str | None
    teacher_only: dict[str, int]
    student_only: dict[str, int]
    moved: dict[str, tuple[int, int]]
    teacher_ids: dict[str, int]
    student_ids: dict[str, int]

    @property
    def same(self) -> bool:
        listed = self.teacher_only or self.student_only or self.moved
        return self.difference is None and not listed

    def listed(self) -> str:
        """The added tokens that differ, in words."""
        parts = {
            "the teacher's alone": self.teacher_only,
            "the student's alone": self.student_only,
            "under other ids": self.moved,
        }
        return "; ".join(
            f"{what}: " + ", ".join(f"{content} {ids}" for content, ids in list(tokens.items())[:8])
            for what, tokens in parts.items()
            if tokens
        )


class _Tokenizer(NamedTuple):
    document: Mapping[str, Any]
    model: Mapping[str, Any]
    ids: dict[str, int]
    added: dict[str, Mapping[str, Any]]


def compare(teacher: bytes, student: bytes) -> Comparison:
    """Raises ``request-invalid`` where one is no tokenizer.json."""
    a, b = _parsed(teacher, "the teacher's"), _parsed(student, "the student's")
    teacher_only: dict[str, int] = {}
    student_only: dict[str, int] = {}
    moved: dict[str, tuple[int, int]] = {}
    for content in {**a.added, **b.added}:
        x, y = a.ids.get(content), b.ids.get(content)
        if y is None:
            teacher_only[content] = a.ids[content]
        elif x is None:
            student_only[content] = y
        elif x != y or (content in a.added) != (content in b.added):
            moved[content] = (x, y)
    difference = next(_differences(a, b), None)
    return Comparison(difference, teacher_only, student_only, moved, a.ids, b.ids)


def _parsed(data: bytes, whose: str) -> _Tokenizer:
    try:
        document = json.loads(data)
        model, vocab = document["model"], document["model"]["vocab"]
        listed = isinstance(vocab, list)
        ids = {piece[0]: i for i, piece in enumerate(vocab)} if listed else dict(vocab)
        added = {token["content"]: token for token in document.get("added_tokens") or []}
        ids.update((content, int(token["id"])) for content, token in added.items())
        return _Tokenizer(document, model, ids, added)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        detail = f"dataset: {whose} is no tokenizer.json ({error})"
        raise LogitcaskError("request-invalid", 400, detail) from error


def _differences(a: _Tokenizer, b: _Tokenizer) -> Iterator[str]:
    for name in SECTIONS:
        if _value(a.document.get(name)) != _value(b.document.get(name)):
            yield name
    for name in sorted((set(a.model) | set(b.model)) - {"vocab", "merges"}):
        if _value(a.model.get(name)) != _value(b.model.get(name)):
            yield f"model.{name}"
    for content, token in a.added.items():
        other = b.added.get(content, token)
        for flag in FLAGS:
            if _value(token.get(flag)) != _value(other.get(flag)):
                yield f"{flag} of the added token {json.dumps(content, ensure_ascii=False)}"
    for x, y in ((a, b), (b, a)):
        for content, id_ in x.ids.items():
            base = content not in a.added and content not in b.added
            if base and y.ids.get(content) != id_:
                yield f"the token {json.dumps(content, ensure_ascii=False)}"
    for name in ("merges", "vocab"):
        yield from _list_differences(name, a.model.get(name), b.model.get(name))


def _list_differences(name: str, x: object, y: object) -> Iterator[str]:
    """Merges by rank; scores of Unigram pieces, behind which added ones may lie."""
    if not isinstance(x, list) or not isinstance(y, list):
        if isinstance(x, list) != isinstance(y, list):
            yield f"model.{name}"
        return
    length = max(len(x), len(y)) if name == "merges" else min(len(x), len(y))
    for i in range(length):
        if i >= len(x) or i >= len(y) or _item(x[i]) != _item(y[i]):
            yield f"model.{name}, item {i}"


def _item(value: Any) -> Any:
    """`["a", "b"]` and `"a b"` are one merge."""
    return tuple(value.split(" ")) if isinstance(value, str) else tuple(value)


def _value(value: object) -> object:
    """What is left out, null and false are one."""
    return False if value is None else value
