"""An order and what its customer is told of it; the customer is taken from a header."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from convstore import ConvstoreError
from convstore.blocking import Store, open_store
from convstore.types import http_status
from examples.django_shop.joining import joined
from examples.django_shop.models import Order
from examples.django_shop.settings import URL


@cache
def store() -> Store:
    """The store of this process: opened at its first request, after any fork."""
    opening = open_store(URL)
    opened = opening.__enter__()
    atexit.register(opening.__exit__, None, None, None)
    return opened


class Wish(forms.Form):
    """What is ordered."""

    number = forms.IntegerField(min_value=1, max_value=2**31 - 1)
    item = forms.CharField(max_length=40)


@require_POST
def place(request: HttpRequest, number: int) -> JsonResponse:
    """Both the order and the message, or neither."""
    user = _user(request)
    wish = Wish({"number": number, "item": request.POST.get("item")})
    if not wish.is_valid():
        return JsonResponse({"error": wish.errors}, status=422)
    item = wish.cleaned_data["item"]
    try:
        with joined(store()) as tx:
            Order.objects.create(number=number, item=item)
            chat = tx.conversation(f"orders-{user}", user_id=user)
            turn = chat.append(role="assistant", content=f"Ordered: {item}")
    except IntegrityError:
        return JsonResponse({"error": "there is such an order"}, status=409)
    return JsonResponse({"turn": turn.seq}, status=201)


@require_GET
def conversation(request: HttpRequest) -> JsonResponse:
    """What the customer was told, oldest first."""
    user = _user(request)
    turns = store().conversation(f"orders-{user}", user_id=user).window(limit=20)
    return JsonResponse({"said": [turn.content for turn in turns]})


def _user(request: HttpRequest) -> str:
    if user := request.headers.get("X-User-ID"):
        return user
    raise PermissionDenied  # nobody is not somebody


def refusing(get_response: Any) -> Any:
    """Middleware: an error of the store as a status and its stable code."""

    def answer(request: HttpRequest) -> Any:
        return get_response(request)

    def process_exception(request: HttpRequest, error: Exception) -> Any:
        if not isinstance(error, ConvstoreError):
            return None
        return JsonResponse({"error": error.code}, status=http_status(error))

    answer.process_exception = process_exception  # type: ignore[attr-defined]
    return answer


urlpatterns = [
    path("orders/<int:number>", place),
    path("conversation", conversation),
]
