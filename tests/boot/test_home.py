"""The home: its secrets, its modes, and a folder for sockets that is never too deep or somebody else's."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.home import Home, UnsafeFolder, kept, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.secret_key() == home.secret_key()
    assert len(home.secret_key()) > 50
    assert home.console_id() != Home(tmp_path / "other").console_id()
    assert [mode(tmp_path / "var" / name) for name in ("secret_key", "console_id")] == [0o600, 0o600]


def test_of_many_that_make_a_secret_at_once_one_wins_for_all(tmp_path: Path) -> None:
    numbers = iter(range(100))
    with ThreadPoolExecutor(16) as pool:
        seen = set(pool.map(lambda _: kept(tmp_path / "secret", lambda: str(next(numbers))), range(64)))
    assert len(seen) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_private_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    write_private(path, {"password": "one"})
    write_private(path, {"password": "two"})
    assert mode(path) == 0o600
    assert '"two"' in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_sockets_move_to_a_short_folder_where_the_home_is_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = Home(tmp_path / ("d" * 100))
    assert deep.run.parent == tmp_path
    assert Home(Path("/srv")).run == Path("/srv/var/run")
    assert deep.run != Home(tmp_path / ("e" * 100)).run


def test_a_folder_for_sockets_that_others_can_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = Home(tmp_path / ("d" * 100))
    deep.run.mkdir()
    deep.run.chmod(0o777)
    with pytest.raises(UnsafeFolder, match="XDG_RUNTIME_DIR"):
        deep.prepare()


def test_every_folder_is_the_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.prepare()
    assert {mode(path) for path in home.var.iterdir()} == {0o700}
