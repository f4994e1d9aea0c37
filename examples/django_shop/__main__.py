"""`python -m examples.django_shop`: what `manage.py` is in other projects."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from convstore import migration
from examples.django_shop.settings import URL


def main(arguments: list[str]) -> None:
    """Run a command of Django; `migrate` brings convstore's tables up first."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "examples.django_shop.settings"
    if arguments[1:2] == ["migrate"]:
        migration.upgrade(URL)
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
