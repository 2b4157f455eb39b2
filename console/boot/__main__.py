"""Brings the console up, proves that it works, stays in the foreground, and takes everything down again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

import httpx

from console.boot import guard, restart, sample
from console.boot.progress import Refused, say
from console.boot.rest import CallFailed, Rest, is_ready
from console.boot.supervise import Program, Supervisor, last_lines, programs
from console.environ import flag
from console.home import CHECKOUT, Home, UnsafeFolder, write_private
from deployments.domain.errors import ConsoleError
from deployments.redis_server import find_server
from deployments.targets.local import stop_all

READY_SECONDS = 240


def main() -> int:
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    home = Home.from_environment()
    try:
        home.prepare()
        with guard.take(home):
            return _up(home)
    except (Refused, UnsafeFolder) as refusal:
        print(f"bin/up: {refusal}", file=sys.stderr)
    except ConsoleError as error:
        detail = error.detail
        print(f"bin/up: {detail.message} {detail.cause} {detail.action}", file=sys.stderr)
    except KeyboardInterrupt:
        say("Stopped")
        return 0
    return 1


def _up(home: Home) -> int:
    home.up_file.unlink(missing_ok=True)
    host, port = os.environ.get("HOST") or "127.0.0.1", _port()
    guard.end_leftovers(home)
    guard.check_port(host, port)
    wanted = programs(home, host=host, port=port, environment=os.environ)
    if any(program.name == "broker" for program in wanted):
        find_server()
    say(f"Preparing the database and the static files in {home.var}")
    _bootstrap()
    url = f"http://{_reachable(host)}:{port}"
    try:
        with Supervisor(home, wanted) as supervisor:
            say("Starting " + ", ".join(program.name for program in wanted))
            _wait_until_ready(url, supervisor, home, wanted)
            _prove(home, url, public_url=(os.environ.get("CONSOLE_URL") or url).rstrip("/"))
            _stay(supervisor, home)
    finally:
        home.up_file.unlink(missing_ok=True)
        say("Stopping the functions and caches of this machine")
        stop_all(home.local, grace=5)
    return 1


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Refused(f"PORT is “{text}”: give it a number from 1 to 65535, for example PORT=8001 bin/up")
    return int(text)


def _reachable(host: str) -> str:
    """The name under which this machine itself reaches a server bound to the host."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    return everywhere.get(host) or (f"[{host}]" if ":" in host else host)


def _bootstrap() -> None:
    done = subprocess.run([sys.executable, "manage.py", "bootstrap"], cwd=CHECKOUT, check=False)
    if done.returncode:
        raise Refused("The database could not be prepared: the lines above say why.")


def _wait_until_ready(url: str, supervisor: Supervisor, home: Home, wanted: Iterable[Program]) -> None:
    end = time.monotonic() + READY_SECONDS
    while not is_ready(url):
        if time.monotonic() > end or not supervisor.is_alive():
            for program in wanted:
                path = home.log / f"{program.name}.log"
                print(f"--- the end of {path}\n{last_lines(path)}", file=sys.stderr)
            raise Refused(f"The console was not ready after {READY_SECONDS} seconds: see the ends of its logs above.")
        time.sleep(0.2)
    say("The console, its database, broker and worker answer")


def _prove(home: Home, url: str, *, public_url: str) -> None:
    """Deploy the sample, or bring back what was live; then say so in var/up.json and on the screen."""
    sign_in = json.loads(home.sign_in_file.read_text(encoding="utf-8"))
    asked = None
    try:
        with Rest(url, sign_in["api_token"]) as rest:
            if not flag("LOCAL_EXECUTION_ENABLED", default=True):
                say("LOCAL_EXECUTION_ENABLED is off: no model is run on this machine")
            elif sign_in["deployment"]:
                restart.live_deployments(rest)
            else:
                asked = sample.deploy(rest)
                sign_in["deployment"] = sample.NAME
                write_private(home.sign_in_file, sign_in)
            function_url = sample.function_url(rest) if sign_in["deployment"] else None
    except (Refused, CallFailed, httpx.TransportError) as error:
        # The console itself is up: its pages are the best place to find out and to try again.
        say(f"Not everything is as it should be: {error}")
        _show(home, public_url, sign_in)
        return
    write_private(home.up_file, {"console_url": public_url, **sign_in, "function_url": function_url})
    _show(home, public_url, sign_in, function_url, asked)


def _show(
    home: Home,
    url: str,
    sign_in: dict[str, Any],
    function_url: str | None = None,
    asked: sample.Asked | None = None,
) -> None:
    password = sign_in["password"] or f"as you set it (or: bin/python manage.py changepassword {sign_in['username']})"
    lines = [("Console", url), ("Sign in", f"{sign_in['username']} / {password}")]
    if function_url:
        lines.append(("Function", f"{function_url} (deployment {sign_in['deployment']})"))
    if asked:
        verdicts = zip(asked.verdicts, asked.milliseconds, strict=True)
        times = ", then ".join(f"{verdict.upper()} {took:.1f} ms" for verdict, took in verdicts)
        lines.append(("Scored", f"two rows as {asked.labels}: {times}"))
    if home.up_file.exists():
        lines.append(("Written to", f"{home.up_file}, with an API token"))
    lines.append(("Logs", f"{home.log}"))
    print("\n" + "\n".join(f"  {label:<11}{text}" for label, text in lines))
    print("\n  Ctrl-C stops everything.\n", flush=True)


def _stay(supervisor: Supervisor, home: Home) -> None:
    while supervisor.is_alive():
        time.sleep(0.5)
    raise Refused(f"The supervisor ended by itself: {home.log / 'supervisord.log'} says why. Start bin/up again.")


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
