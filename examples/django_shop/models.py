"""What the shop itself remembers."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """Something that a customer has bought."""

    number = models.IntegerField(primary_key=True)
    item = models.CharField(max_length=40)
