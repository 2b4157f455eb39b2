"""System checks say what is wrong with an installation, and are silent when nothing is."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from deployments import checks
from deployments.targets.local import sandbox


def ids() -> set[str]:
    return {message.id or "" for message in run_checks() if (message.id or "").startswith("deployments.")}


def test_a_sound_installation_has_no_errors() -> None:
    assert not {found for found in ids() if ".E" in found}


def test_uploads_need_a_place(settings: Any, tmp_path: Path) -> None:
    settings.ARTIFACT_ROOT = tmp_path / "new" / "folder"
    assert checks.artifact_root_is_writable(None) == []
    (tmp_path / "file").write_text("")
    settings.ARTIFACT_ROOT = tmp_path / "file"
    (found,) = checks.artifact_root_is_writable(None)
    assert (found.id, str(tmp_path / "file") in found.msg) == ("deployments.E001", True)
    assert "CONSOLE_HOME" in str(found.hint)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_uploads_need_a_place_that_may_be_written_to(settings: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    settings.ARTIFACT_ROOT = tmp_path
    assert [found.id for found in checks.artifact_root_is_writable(None)] == ["deployments.E001"]


@pytest.mark.parametrize("key", ["short", "django-insecure-" + "x" * 50])
def test_a_secret_that_is_none_is_an_error(settings: Any, key: str) -> None:
    settings.SECRET_KEY = key
    assert "deployments.E002" in ids()


def test_a_machine_without_a_sandbox_is_warned_of(settings: Any) -> None:
    has_none = sandbox.choose("auto") == "none"
    assert ("deployments.W001" in ids()) == has_none
    settings.LOCAL_EXECUTION_ENABLED = False
    assert "deployments.W001" not in ids()


def test_a_machine_without_a_redis_server_is_warned_of(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/nowhere/redis-server")
    (found,) = checks.caches_can_be_started(None)
    assert (found.id, "REDIS_SERVER" in str(found.hint)) == ("deployments.W002", True)
    settings.LOCAL_EXECUTION_ENABLED = False
    assert checks.caches_can_be_started(None) == []


def test_a_console_for_others_wants_tls(settings: Any) -> None:
    settings.HOST, settings.BEHIND_TLS = "0.0.0.0", False
    assert "deployments.W003" in ids()
    settings.BEHIND_TLS = True
    assert "deployments.W003" not in ids()
