"""Configuration: what is allowed, what is said when something is not, and where it is looked for."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from temporal_lint.config import ConfigError, Settings, Wrapper, json_schema, load, override, parse


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"selec": ["TMP1"]}, ["no key `selec`", "`select`"]),
        ({"zzz": 1}, ["no key `zzz`", "max-payload-bytes"]),
        ({"select": "TMP1"}, ["`select` must be a list", "`TMP1`"]),
        ({"select": [1]}, ["`select[0]` must be a string"]),
        ({"select": [""]}, ["`select[0]` must not be empty"]),
        ({"severity": {"TMP101": "eror"}}, ["`severity.TMP101`", "error, warning, info, off", "Did you mean `error`?"]),
        ({"max-payload-bytes": 0}, ["at least 1"]),
        ({"max-payload-bytes": True}, ["a whole number, not true"]),
        ({"respect-gitignore": 1}, ["true or false"]),
        ({"wrappers": [{"activity": 0}]}, ["`wrappers[0].call` is missing"]),
        ({"wrappers": [{"call": "a", "activity": 1.5}]}, ["`wrappers[0].activity` must be a string or a whole number"]),
        ({"profiles": ["atlas"]}, ["Did you mean `atlan`?"]),
        ({"per-file-ignores": ["x"]}, ["must be a table"]),
    ],
)
def test_wrong_value_names_file_key_and_what_is_allowed(table: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(table, "pyproject.toml")
    for word in ["pyproject.toml", *words]:
        assert word in str(caught.value)


def test_values_arrive_typed_and_profiles_add_to_lists() -> None:
    settings = parse(
        {
            "wrappers": [{"call": "app.run", "activity": "fn", "args": ["x", 2], "sets": ["start_to_close_timeout"]}],
            "profiles": ["atlan"],
            "activity-decorators": ["app.task"],
            "per-file-ignores": {"tests/*": ["TMP1"]},
        },
        "x",
    )
    assert settings.wrappers == (Wrapper("app.run", "fn", ("x", 2), ("start_to_close_timeout",)),)
    assert settings.activity_decorators[-1] == "app.task" and len(settings.activity_decorators) > 1
    assert settings.per_file_ignores == {"tests/*": ("TMP1",)}
    assert Settings().max_payload_bytes == 204800


def test_schema_agrees_with_the_check() -> None:
    schema = json_schema()
    validator = jsonschema.Draft7Validator(schema)
    validator.check_schema(schema)
    for table in (
        {},
        {"severity": {"TMP101": "off"}},
        {"wrappers": [{"call": "a", "activity": 1}]},
        {"select": ["ALL"]},
    ):
        parse(table, "x")
        assert validator.is_valid(table)
    for wrong in ({"selec": []}, {"severity": {"a": "b"}}, {"wrappers": [{}]}, {"max-payload-bytes": 0}):
        assert not validator.is_valid(wrong)
    for key, one in schema["properties"].items():
        assert one["description"].endswith("."), key
        if "default" in one:
            parse({key: one["default"]}, "x")


def test_nearest_table_is_the_root(tmp_path: Path) -> None:
    inner = tmp_path / "service" / "app"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "service" / "pyproject.toml").write_text("[tool.other]\n")
    assert load(inner).root == tmp_path
    (tmp_path / "service" / "pyproject.toml").write_text('[tool.temporal-lint]\nselect = ["TMP1"]\n')
    found = load(inner)
    assert (found.root, found.settings.select) == (tmp_path / "service", ("TMP1",))
    (inner / "temporal-lint.toml").write_text('ignore = ["TMP101"]\n')
    assert load(inner).settings == Settings(ignore=("TMP101",))
    assert load(inner, isolated=True).settings == Settings()
    explicit = load(inner, tmp_path / "service" / "pyproject.toml")
    assert (explicit.root, explicit.settings.select) == (inner, ("TMP1",))


def test_root_of_a_copy_without_its_history(tmp_path: Path) -> None:
    inner = tmp_path / "app" / "flows"
    inner.mkdir(parents=True)
    assert load(inner).root == inner
    (tmp_path / "requirements.txt").touch()
    assert load(inner).root == tmp_path == load(inner, isolated=True).root


@pytest.mark.parametrize("content", [b"select = [", b"\xff"])
def test_broken_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "temporal-lint.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"temporal-lint\.toml"):
        load(tmp_path)


def test_missing_explicit_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path, tmp_path / "nope.toml")


def test_select_on_the_command_line_sets_the_files_choice_aside() -> None:
    settings = Settings(select=("TMP2",), ignore=("TMP101",), extend_select=("TMP3",))
    assert override(settings, select=("TMP101",)) == Settings(select=("TMP101",))
    assert override(settings, select=(), ignore=None) == settings
