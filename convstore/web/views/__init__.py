"""The pages by their addresses, and who may see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from convstore.web.actors import Role
from convstore.web.views import (
    acts,
    archive,
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
    sessions,
)
from convstore.web.visit import Go, View, Visit

Shown: TypeAlias = Callable[[Visit], Awaitable[View | Go]]

PAGES: dict[str, tuple[Role, Shown]] = {
    "/": ("reader", sessions.show),
    "/search": ("reader", found.show),
    "/conversation": ("reader", conversation.show),
    "/compare": ("reader", compare.show),
    "/queues": ("reader", judging.queues),
    "/judge": ("annotator", judging.show),
    "/disagreements": ("reader", disagreements.show),
    "/datasets": ("reader", datasets.show),
    "/retention": ("reader", retention.show),
    "/receipt": ("reader", retention.receipt),
    "/archive": ("reader", archive.show),
    "/cost": ("reader", cost.show),
    "/people": ("reader", people.show),
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
}

NAVIGATION: tuple[tuple[str, str] | None, ...] = (
    ("/", "Sessions"),
    ("/queues", "Judge"),
    ("/disagreements", "Disagreements"),
    ("/datasets", "Data sets"),
    None,
    ("/retention", "Retention"),
    ("/archive", "Archive"),
    ("/cost", "Cost"),
    ("/people", "People"),
)
"""The menu; None parts what people judge from what operators look at."""
