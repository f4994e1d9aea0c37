"""What a SQLite URL may say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convstore import ConfigError, open_store


@pytest.mark.parametrize("query", ["mode=ro&uri=true", "cache=shared", "immutable=1"])
async def test_parameters_are_refused_by_name_and_make_no_file(
    query: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=query.partition("=")[0]):
        async with open_store(f"sqlite:///{tmp_path / 'chat.db'}?{query}"):
            pass

    assert os.listdir(tmp_path) == []
