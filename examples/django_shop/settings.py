"""One database for orders and conversations: the one that convstore's settings name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url

from convstore import StoreConfig

URL = StoreConfig().database_url


def database_of(url: str) -> dict[str, Any]:
    """The same database in Django's words."""
    given = make_url(url)
    if given.get_backend_name() == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": given.database,
            # Else a transaction that has read may find that it cannot write.
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.database,
        "USER": given.username or "",
        "PASSWORD": given.password or "",
        "HOST": given.host or "",
        "PORT": given.port or "",
        "OPTIONS": dict(given.query),
    }


DATABASES = {"default": database_of(URL)}
INSTALLED_APPS = ["examples.django_shop"]
ROOT_URLCONF = "examples.django_shop.views"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "signs nothing in this example"
MIDDLEWARE = ["examples.django_shop.views.refusing"]
