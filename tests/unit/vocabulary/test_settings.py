"""Settings: from the environment or in code, read once, refused by name."""

from pathlib import Path

import pytest

from convstore import ConfigError, StoreConfig
from convstore.policy import CachePolicy, RetentionOverride, RetentionPolicy
from convstore.vocabulary.settings import load_config


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_those_of_the_documentation() -> None:
    config = load_config()

    assert config.database_url == "sqlite:///convstore.db"
    assert config.archive_path == Path("convstore-archive")
    assert config.tenant == "default"
    assert config.retention.stale_after_s == 86_400
    assert config.retention.max_sessions is None
    assert config.retention.interval_s == 300


def test_home_moves_the_database_and_the_archive(tmp_path: Path) -> None:
    config = load_config(home=tmp_path)

    assert config.database_url == f"sqlite:///{tmp_path}/convstore.db"
    assert config.archive_path == tmp_path / "convstore-archive"


def test_the_environment_sets_what_the_code_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVSTORE_URL", "sqlite:///env.db")
    monkeypatch.setenv("CONVSTORE_TENANT", "acme")
    monkeypatch.setenv("CONVSTORE_RETENTION__STALE_AFTER_S", "60")
    monkeypatch.setenv("CONVSTORE_LIMITS__MAX_PAGE", "5")

    config = load_config(url="sqlite:///code.db")

    assert config.url == "sqlite:///code.db"
    assert config.tenant == "acme"
    assert config.retention.stale_after_s == 60
    assert config.limits.max_page == 5


def test_a_setting_that_cannot_be_used_is_named_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVSTORE_POOL_SIZE", "hunter2")

    with pytest.raises(ConfigError) as caught:
        load_config(lanes=99)

    assert "POOL_SIZE" in str(caught.value)
    assert "LANES" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="COLOUR"):
        load_config(colour="red")


def test_settings_do_not_change_once_read() -> None:
    config = StoreConfig(url="sqlite:///x.db")

    with pytest.raises(Exception, match="frozen"):
        config.url = "sqlite:///y.db"  # type: ignore[misc]


def test_a_password_is_not_shown_with_the_settings() -> None:
    config = StoreConfig(
        url="postgresql://u:hunter2@host/db",
        cache=CachePolicy(kind="redis", url="redis://:hunter2@host/0"),
    )

    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)
    assert "hunter2" in config.database_url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RETENTION__STALE_AFTER_S", "-1"),
        ("RETENTION__STALE_AFTER_S", "nan"),
        ("RETENTION__INTERVAL_S", "0"),
        ("RETENTION__MAX_SESSIONS", "0"),
        ("LEDGER__WINDOW", "0"),
        ("LIMITS__QUEUE_SIZE", "0"),
        ("LIMITS__MAX_JSON_DEPTH", "250"),
    ],
)
def test_a_bound_that_bounds_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"CONVSTORE_{name}", value)

    with pytest.raises(ConfigError, match=name):
        load_config()


def test_an_override_is_held_to_the_same_bounds() -> None:
    tags = {"vip": RetentionOverride(keep_archive_for_s=-1)}

    with pytest.raises(ConfigError, match="RETENTION__TAGS__vip__KEEP_ARCHIVE_FOR_S"):
        StoreConfig(retention=RetentionPolicy(tags=tags))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CONVSTORE_ARCHIV_DIR", "CONVSTORE_ARCHIVE_DIR"),
        ("convstore_urll", "CONVSTORE_URL"),
        ("CONVSTORE_RETENTION__STALE_AFTER", "CONVSTORE_RETENTION__STALE_AFTER_S"),
        ("CONVSTORE_URL__HOST", "CONVSTORE_URL"),
    ],
)
def test_a_name_that_is_no_setting_is_refused_with_the_nearest(
    name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    with pytest.raises(
        ConfigError, match=f"{name.upper()} is not a setting: is {near}"
    ):
        load_config()


def test_names_of_the_tests_and_of_overrides_are_no_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVSTORE_TEST_ANYTHING", "1")
    monkeypatch.setenv("CONVSTORE_RETENTION__TENANTS__acme__STALE_AFTER_S", "1d")

    assert load_config().retention.tenants["acme"].stale_after_s == 86_400


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86_400), ("1d12h", 129_600), ("90", 90), ("0s", 0)]
)
def test_durations_are_taken_as_people_write_them(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSTORE_RETENTION__STALE_AFTER_S", text)
    monkeypatch.setenv("CONVSTORE_RETENTION__INTERVAL_S", "5m")

    policy = load_config().retention

    assert (policy.stale_after_s, policy.interval_s) == (seconds, 300)


def test_what_is_no_duration_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONVSTORE_RETENTION__STALE_AFTER_S", "soon")

    with pytest.raises(ConfigError, match="RETENTION__STALE_AFTER_S"):
        load_config()
