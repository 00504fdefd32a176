"""Lists and watches: the present, then every change of it."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from drctl.lab.kubernetes.errors import ApiError, Object, bad_request
from drctl.lab.kubernetes.kinds import Kind
from drctl.lab.kubernetes.selectors import Matches, parse_fields, parse_labels
from drctl.lab.kubernetes.store import Change, Store

_BOOKMARK_EVERY_S = 10.0

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Question:
    """Which objects of a kind a list or a watch is about."""

    kind: Kind
    namespace: str | None
    labels: Matches
    fields: Matches

    @classmethod
    def ask(cls, kind: Kind, namespace: str | None, labels: str, fields: str) -> "Question":
        """
        Reads the selectors of a request.

        Raises:
            ApiError: 400, one cannot be read.
        """
        return cls(kind, namespace, parse_labels(labels), parse_fields(fields))

    def matches(self, obj: Object) -> bool:
        """Says whether an object belongs to the answer."""
        in_place = self.namespace is None or obj["metadata"].get("namespace") == self.namespace
        return in_place and self.labels(obj) and self.fields(obj)


def answer(store: Store, question: Question) -> list[Object]:
    """Returns the objects that belong to the answer now."""
    objects = store.all_of(question.kind, question.namespace)
    return [obj for obj in objects if question.matches(obj)]


def page(objects: Sequence[Object], limit: int, after: str) -> tuple[list[Object], Object]:
    """
    Cuts a list into pages.

    Args:
        objects: All of it, in order.
        limit: Objects on a page; zero for all.
        after: The ``continue`` token of the page before.

    Returns:
        The page, and the list metadata that says how to go on.

    Raises:
        ApiError: 400, the token is not ours.
    """
    rest = list(objects)
    if after:
        try:
            last = tuple(base64.urlsafe_b64decode(after).decode().split("/", 1))
        except (binascii.Error, ValueError) as error:
            raise bad_request("continue key is not valid") from error
        rest = [obj for obj in rest if _key(obj) > last]
    if not limit or len(rest) <= limit:
        return rest, {}
    token = base64.urlsafe_b64encode("/".join(_key(rest[limit - 1])).encode()).decode()
    return rest[:limit], {"continue": token, "remainingItemCount": len(rest) - limit}


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


async def follow(
    store: Store, question: Question, version: str, *, bookmarks: bool
) -> AsyncGenerator[tuple[EventType, Object], None]:
    """
    Gives the events of a watch, without end.

    Args:
        store: Where.
        question: What.
        version: Where the client's knowledge ends; empty or ``0`` begins with what is there.
        bookmarks: Whether the client wants to hear how far it is when nothing happens.

    Raises:
        ApiError: 400, the version is no number; 410, it is too old.
    """
    start = _start(store, version)
    with store.listen() as changes:
        if start:
            for change in store.since(start):
                for event in _events(change, question):
                    yield event
        else:
            for obj in answer(store, question):
                yield "ADDED", obj
        while True:
            try:
                async with asyncio.timeout(_BOOKMARK_EVERY_S):
                    change = await changes.get()
            except TimeoutError:
                if bookmarks:
                    yield "BOOKMARK", {"metadata": {"resourceVersion": str(store.version)}}
                continue
            for event in _events(change, question):
                yield event


def _start(store: Store, version: str) -> int:
    try:
        start = int(version or 0)
    except ValueError:
        raise bad_request(f"invalid resource version: {version!r}") from None
    if start > store.version:
        raise ApiError(
            504, "Timeout", f"Too large resource version: {start}, current: {store.version}"
        )
    return start


def _events(change: Change, question: Question) -> Iterator[tuple[EventType, Object]]:
    """Says what a change means to somebody who sees only the objects that match."""
    if change.kind is not question.kind:
        return
    now = change.type != "DELETED" and question.matches(change.obj)
    before = change.before is not None and question.matches(change.before)
    if now:
        yield ("MODIFIED" if before else "ADDED"), change.obj
    elif before:
        yield "DELETED", change.obj
