"""bin/environment.py: what uv is told so that it treats indexes, proxies and certificates as pip does."""

import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from console.home import CHECKOUT


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", CHECKOUT / "bin" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pip_config_takes_variables_over_the_install_section_over_global(environment: ModuleType) -> None:
    listing = "\n".join(
        [
            "WARNING: something that is no setting",
            ":env:.index-url='https://three.example/simple'",
            "global.index-url='https://one.example/simple'",
            "global.find-links='/wheels'",
            "install.index-url='https://two.example/simple'",
            "download.no-index='true'",
        ]
    )
    assert environment.parse_pip_config(listing) == {
        "index-url": "https://three.example/simple",
        "find-links": "/wheels",
    }


def test_uv_is_told_of_mirrors_proxies_and_certificates(environment: ModuleType) -> None:
    pip = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": "https://a.example/simple\nhttps://b.example/simple",
        "trusted-host": "mirror.example",
        "cert": "/etc/company.pem",
        "proxy": "http://proxy.example:3128",
        "no-index": "true",
    }
    variables, arguments = environment.uv_settings(pip, {})
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert variables["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert variables["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert variables["UV_INSECURE_HOST"] == "mirror.example"
    assert variables["SSL_CERT_FILE"] == "/etc/company.pem"
    assert variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example:3128"
    assert arguments == ["--no-index"]


def test_what_the_environment_says_to_uv_is_never_overruled(environment: ModuleType) -> None:
    said = {
        "UV_DEFAULT_INDEX": "https://uv.example/simple",
        "SSL_CERT_FILE": "/etc/mine.pem",
        "https_proxy": "http://mine.example",
    }
    pip = {"index-url": "https://pip.example/simple", "cert": "/etc/pip.pem", "proxy": "http://pip.example"}
    variables, arguments = environment.uv_settings(pip, said)
    assert not {"UV_DEFAULT_INDEX", "SSL_CERT_FILE", "HTTPS_PROXY"} & variables.keys()
    assert arguments == []


def test_the_pin_of_one_package_comes_with_its_hashes(environment: ModuleType) -> None:
    pin = "uv==2 \\\n    --hash=sha256:2 \\\n    --hash=sha256:3\n"
    lock = f"a==1 \\\n    --hash=sha256:1\n{pin}z==4 \\\n    --hash=sha256:4\n"
    assert environment.pinned(lock, "uv") == pin
    with pytest.raises(LookupError):
        environment.pinned(lock, "absent")


def test_the_lock_pins_uv_itself(environment: ModuleType) -> None:
    assert environment.pinned(environment.LOCK.read_text(), "uv").startswith("uv==")


def test_a_made_environment_becomes_the_python_with_its_arguments() -> None:
    done = subprocess.run(
        [CHECKOUT / "bin" / "python", "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == sys.prefix
