"""A Django project that keeps an order and its message together: run as a process.

Arguments: the store's URL, the number of its first order, and how many.
"""

import os
import sys
from typing import Any

import django

URL, FIRST, COUNT = sys.argv[1], *map(int, sys.argv[2:4])
os.environ["CONVSTORE_URL"] = URL
os.environ["DJANGO_SETTINGS_MODULE"] = "examples.django_shop.settings"
django.setup()

from django.db import transaction

from convstore import StoreConfig, blocking
from examples.django_shop.joining import joined
from examples.django_shop.models import Order

report: Any = globals()["report"]
wait_for_all: Any = globals()["wait_for_all"]

with blocking.open_store(StoreConfig(url=URL)) as store:
    wait_for_all()
    for number in range(FIRST, FIRST + COUNT):
        name = f"order-{number}"
        with joined(store) as tx:
            Order.objects.create(number=number, item="tea")
            turn = tx.turns.append(
                "s-1", role="user", content=name * 50, external_id=name
            )
            with transaction.atomic():
                tx.interactions.add_feedback(
                    "s-1", turn_seq=turn.seq, feedback="up", external_id=name
                )
        report(number)
