"""The pages by their addresses, and who may see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from convstore.web.actors import Role
from convstore.web.views import (
    acts,
    archive,
    bulk,
    compare,
    conversation,
    cost,
    datasets,
    disagreements,
    found,
    judging,
    operating,
    people,
    retention,
    sending,
    sessions,
    written,
)
from convstore.web.visit import Answer, Visit

Shown: TypeAlias = Callable[[Visit], Awaitable[Answer]]

PAGES: dict[str, tuple[Role, Shown]] = {
    "/": ("reader", sessions.show),
    "/search": ("reader", found.show),
    "/conversation": ("reader", conversation.show),
    "/compare": ("reader", compare.show),
    "/queues": ("reader", judging.queues),
    "/judge": ("annotator", judging.show),
    "/disagreements": ("reader", disagreements.show),
    "/datasets": ("reader", datasets.show),
    "/dataset": ("reader", written.show),
    "/dataset/plot": ("reader", written.plot),
    "/retention": ("reader", retention.show),
    "/receipt": ("reader", retention.receipt),
    "/archive": ("reader", archive.show),
    "/cost": ("reader", cost.show),
    "/people": ("reader", people.show),
    "/bulk": ("operator", bulk.show),
}

FORMS: dict[str, tuple[Role, Shown]] = {
    "/judge": ("annotator", acts.judge),
    "/choose": ("annotator", acts.choose),
    "/retract": ("annotator", acts.retract),
    "/skip": ("annotator", judging.skip),
    "/queues": ("operator", judging.make),
    "/queues/end": ("operator", judging.end),
    "/describe": ("operator", operating.describe),
    "/hold": ("operator", operating.hold),
    "/release": ("operator", operating.release),
    "/restore": ("operator", operating.restore),
    "/delete": ("operator", operating.delete),
    "/erase": ("operator", operating.erase),
    "/bulk": ("operator", bulk.act),
    "/export": ("operator", sending.export),
    "/datasets": ("operator", written.write),
}

NAVIGATION: tuple[tuple[str, str, str] | None, ...] = (
    ("/", "Sessions", "s"),
    ("/queues", "Judge", "j"),
    ("/disagreements", "Disagreements", "i"),
    ("/datasets", "Data sets", "d"),
    None,
    ("/retention", "Retention", "r"),
    ("/archive", "Archive", "a"),
    ("/cost", "Cost", "c"),
    ("/people", "People", "p"),
)
"""The menu, with the key of each after a `g`; None parts what people judge from what
operators look at."""
