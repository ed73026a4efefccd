"""A command in a replica, over a websocket.

The client's first frame is JSON: service, replica, command, tty. Then its binary frames begin
with 0 and carry standard input; its text frames are {"stdin": "closed"} or {"rows", "columns"}.
The server's binary frames begin with 1 (stdout) or 2 (stderr); its last is {"exit_code": N} or
{"problem": …}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

from orch.errors import OrchError, UsageFault
from orch_native.messages import State
from orch_native.server.problems import problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.websockets import WebSocket

    from orch_native.messages import ExecSession
    from orch_native.server.controller import Controller
    from orch_native.server.model import App
    from orch_native.server.world import World


async def serve_exec(controller: Controller, app: App, socket: WebSocket) -> None:
    """Serve one command from its start to its exit code."""
    await socket.accept()
    session: ExecSession | None = None
    try:
        asked = json.loads(await socket.receive_text())
        id_ = await controller.asked(lambda r: replica_of(r.world, app, asked))
        session = await asyncio.to_thread(
            controller.agent.exec, id_, asked["command"], tty=bool(asked.get("tty"))
        )
        code = await _joined(session, socket)
        await socket.send_text(json.dumps({"exit_code": code}))
    except WebSocketDisconnect:
        pass  # the asker went away: the session is closed below
    except (OrchError, KeyError, OSError) as fault:
        told = fault if isinstance(fault, OrchError) else UsageFault(f"can't be run: {fault}")
        await socket.send_text(json.dumps({"problem": asdict(problem_of(told))}))
    finally:
        if session is not None:
            await asyncio.to_thread(session.close)
    with contextlib.suppress(RuntimeError):
        await socket.close()


def replica_of(world: World, app: App, asked: Mapping[str, Any]) -> str:
    """The replica that is meant. Raises UsageFault when none fits."""
    service, replica = str(asked.get("service", "")), str(asked.get("replica", ""))
    found = []
    for alloc in world.allocs.values():
        row = world.resources[alloc.uid]
        if row.key.app != app or alloc.ended or service not in {"", row.key.name}:
            continue
        if replica in {"", alloc.id, str(alloc.index), f"{row.key.name}[{alloc.index}]"}:
            found.append(alloc)
    if not found:
        raise UsageFault(
            f"no replica {replica or ''} of {service or 'this app'} runs".replace("  ", " "),
            place=f"{app.namespace}/{app.name}",
            mend="see `orch ps`",
        )
    best = max(found, key=lambda a: (a.state is State.RUNNING, a.serving, -a.index))
    return best.id


async def _joined(session: ExecSession, socket: WebSocket) -> int:
    """Carry both directions until the command ends."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)

    def read() -> None:
        for stream, data in session.output():
            asyncio.run_coroutine_threadsafe(queue.put(bytes([stream]) + data), loop).result()
        asyncio.run_coroutine_threadsafe(queue.put(None), loop).result()

    reading = asyncio.ensure_future(asyncio.to_thread(read))
    writing = asyncio.ensure_future(_inputs(session, socket))
    gone = False
    try:
        while True:
            getting = asyncio.ensure_future(queue.get())
            waiting = {getting} if gone else {getting, writing}
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if getting not in done:
                getting.cancel()
                gone = True
                writing.result()
                continue
            frame = getting.result()
            if frame is None:
                break
            await socket.send_bytes(frame)
        await reading
    finally:
        writing.cancel()
    return await asyncio.to_thread(session.exit_code)


async def _inputs(session: ExecSession, socket: WebSocket) -> None:
    """Hand the asker's frames on. Raises WebSocketDisconnect when the asker goes away."""
    while True:
        frame = await socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if frame.get("bytes"):
            await asyncio.to_thread(session.write, frame["bytes"][1:])
        elif frame.get("text"):
            told = json.loads(frame["text"])
            if told.get("stdin") == "closed":
                await asyncio.to_thread(session.close_stdin)
            else:
                session.resize(int(told["rows"]), int(told["columns"]))
