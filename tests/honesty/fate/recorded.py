"""
Runs drctl and writes down every call that it makes and where to: ``python recorded.py ARGUMENTS``.

Nothing of drctl is changed for it. Actions, pins and lease cells are wrapped where the registry
hands them out, so that each connection is known to belong to one call; connections themselves are
seen by an audit hook of the interpreter, below every library, so that none is missed. One JSON line
for each call goes to ``$DRCTL_RECORD``: what was called for which target, each address and service
that was asked, how it ended.
"""

import contextvars
import fcntl
import functools
import json
import os
import sys
import threading
from pathlib import Path

CALL = contextvars.ContextVar("call", default=None)
_LOCK = threading.Lock()


def _write(line):
    with _LOCK, Path(os.environ["DRCTL_RECORD"]).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(line) + "\n")


def _heard(event, arguments):
    if event == "subprocess.Popen":
        words = [str(word) for word in arguments[1]]
        way_in = next((at for at, word in enumerate(words) if word.endswith("/lab/host.py")), None)
        if way_in is not None and (call := CALL.get()) is not None:
            call["asked"].add(f"machine:{words[way_in + 3]}")
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        if isinstance(address, tuple) and len(address) >= 2:
            call = CALL.get()
            if call is None:
                _write({"part": "stray", "asked": [f"{address[0]}:{address[1]}"]})
            else:
                call["asked"].add(f"{address[0]}:{address[1]}")


async def _recorded(call, work):
    call = {**call, "asked": set(), "services": set()}
    token = CALL.set(call)
    outcome = "cancelled"
    try:
        answer = await work
    except Exception as error:
        outcome = getattr(error, "word", type(error).__name__)
        call["why"] = str(error)[:300]
        raise
    else:
        is_unknown = getattr(answer, "bound", "") is None and call["part"] == "perform"
        outcome = "unknown bound" if is_unknown else "ok"
        return answer
    finally:
        CALL.reset(token)
        asked = {name: sorted(call.pop(name)) for name in ("asked", "services")}
        _write({**call, **asked, "outcome": outcome})


def _wrap(owner, method, part, describe):
    real = getattr(owner, method)

    @functools.wraps(real)
    async def wrapped(*arguments, **named):
        return await _recorded({"part": part, **describe(*arguments)}, real(*arguments, **named))

    object.__setattr__(owner, method, wrapped)


def _watch_actions(registry):
    for action in registry:

        def of(ctx, target, *_rest, name=action.name):
            return {"uses": name, "target": target.label, "kind": target.kind}

        for method in ("observe", "perform", "settled"):
            _wrap(action, method, method, of)


def _watch_pins(registry):
    for pin in registry.pins:

        def of(ctx, target, pin=pin):
            seen = pin.identity(target)
            return {"uses": seen.name, "target": seen.subject}

        _wrap(pin, "read", "pin", of)


def _watch_cells(registry):
    for store in map(registry.store, registry.stores):
        real = store.open

        def opened(settings, real=real, store=store):
            cell = real(settings)
            for method in ("read", "write"):
                _wrap(cell, method, "lease", lambda *_: {"uses": store.name, "target": cell.label})
            return cell

        store.open = opened


def _watch_threads():
    from drctl.adapters import _blocking

    real = _blocking.run

    async def run(call, **named):
        return await real(functools.partial(contextvars.copy_context().run, call), **named)

    _blocking.run = run


def _watch_services():
    from drctl.adapters.aws.client import Aws

    real = Aws._call

    async def call(self, service, operation, arguments, *, mutates):
        here = CALL.get()
        if here is not None:
            word = "!" if mutates else ""
            here["services"].add(f"{word}{service}:{operation}@{self.region}")
        return await real(self, service, operation, arguments, mutates=mutates)

    Aws._call = call


def _watch_hosts():
    from drctl.adapters import _host

    real = _host.run

    async def run(ctx, machine, *arguments, **named):
        here = CALL.get()
        if here is not None:
            here["services"].add(f"host@{machine.region}")
        return await real(ctx, machine, *arguments, **named)

    _host.run = run


def main():
    from drctl.app import compose

    real = compose.installed

    def installed():
        registry = real()
        _watch_actions(registry)
        _watch_pins(registry)
        _watch_cells(registry)
        return registry

    compose.installed = installed
    _watch_threads()
    _watch_services()
    _watch_hosts()
    sys.addaudithook(_heard)
    from drctl.cli.main import main as cli

    cli()


if __name__ == "__main__":
    main()
