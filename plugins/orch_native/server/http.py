"""The HTTP API: requests in, JSON out, every fault as a problem. Nothing is decided here.

Long answers (rollouts, logs, events) are streams of one JSON object a line. `operations` is the
table that the routes and the OpenAPI document are both made from.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from orch import errors
from orch.version import __version__
from orch_native.api import PROTOCOL, About, HeldLock, Problem, Put, Refusal, StoredResource
from orch_native.server import records, sights
from orch_native.server.bodies import Acquire, Asked, Kept, Named, Renew, StopServer, Token
from orch_native.server.execution import serve_exec
from orch_native.server.model import App, Key
from orch_native.server.openapi import Operation, document
from orch_native.server.problems import answer, problem_of
from orch_native.server.refusals import refusals
from orch_native.server.streams import event_stream, json_lines, log_stream, rollout_stream

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.websockets import WebSocket

    from orch_native.server.controller import Controller
    from orch_native.server.store import Store

log = logging.getLogger("orch.native")


class Server(Protocol):
    """What the API asks of the process that it stands in."""

    state: Path
    pid: int
    started: float
    store: Store
    controller: Controller

    def begin_stop(self, *, tasks: bool) -> None:
        """End soon, when told so with all that runs."""
        ...


async def parsed(request: Request, shape: type[Any]) -> Any:
    """The body in its shape. Raises UsageFault without repeating a value that was sent."""
    try:
        return TypeAdapter(shape).validate_json(await request.body())
    except ValidationError as fault:
        told = [".".join(map(str, e["loc"])) + ": " + e["msg"] for e in fault.errors()]
        raise errors.UsageFault("; ".join(told), place=request.url.path) from None


def app_of(request: Request | WebSocket) -> App:
    """The instance that a request speaks of."""
    return App(request.path_params["namespace"], request.path_params["app"])


def key_of(request: Request) -> Key:
    """The resource that a request speaks of."""
    return Key(app_of(request), request.path_params["kind"], request.path_params["name"])


# -- handlers ------------------------------------------------------------------------------


class Api:
    """The handlers, over one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.controller = server.controller

    async def about(self, _request: Request) -> Response:
        state = str(self.server.state)
        about = About(__version__, PROTOCOL, self.server.pid, state, self.server.started)
        return JSONResponse(asdict(about))

    async def stop(self, request: Request) -> Response:
        wanted = await parsed(request, StopServer)
        self.server.begin_stop(tasks=wanted.tasks)
        return Response(status_code=202)

    async def node(self, _request: Request) -> Response:
        facts = await self.controller.asked(lambda _: self.controller.facts())
        return Response(TypeAdapter(dict[str, Any]).dump_json(asdict(facts)), media_type=_JSON)

    async def apps(self, _request: Request) -> Response:
        held = await self.controller.asked(
            lambda r: {row.key.app for row in r.world.resources.values()}
        )
        held |= set(await asyncio.to_thread(records.apps, self.server.store))
        rows = [{"namespace": app.namespace, "name": app.name} for app in sorted(held)]
        return JSONResponse(rows)

    async def resources(self, request: Request) -> Response:
        app = app_of(request)
        found = await self.controller.asked(
            lambda r: [
                sights.stored(r.world, row)
                for row in r.world.of_app(app)
                if not row.deleting or r.world.faults.of(row.uid)
            ]
        )
        return JSONResponse([asdict(row) for row in found])

    async def resource(self, request: Request) -> Response:
        key = key_of(request)
        seen = await self.controller.asked(lambda r: sights.find(r.world, key))
        return _absent(key.id) if seen is None else JSONResponse(asdict(seen))

    async def put(self, request: Request) -> Response:
        key, put = key_of(request), await parsed(request, Put)
        seen = await self.controller.asked(lambda r: sights.stored(r.world, r.put(key, put)))
        return JSONResponse(asdict(seen))

    async def delete(self, request: Request) -> Response:
        key, expected = key_of(request), request.query_params.get("expect_version")
        await self.controller.asked(lambda r: r.delete(key, expected))
        return Response(status_code=204)

    async def restart(self, request: Request) -> Response:
        named = await parsed(request, Named)
        key = Key(app_of(request), named.kind, named.name)
        await self.controller.asked(lambda r: r.restart(key, named.revision))
        return Response(status_code=204)

    async def retry(self, request: Request) -> Response:
        named = await parsed(request, Named)
        key = Key(app_of(request), named.kind, named.name)
        await self.controller.asked(lambda r: r.retry(key, named.revision))
        return Response(status_code=204)

    async def promote(self, request: Request) -> Response:
        named = await parsed(request, Named)
        key = Key(app_of(request), named.kind, named.name)
        await self.controller.asked(lambda r: r.promote(key))
        return Response(status_code=204)

    async def rollout(self, request: Request) -> Response:
        query = request.query_params
        key = Key(app_of(request), query["kind"], query["name"])
        timeout = float(query["timeout"]) if "timeout" in query else None
        return _lines(rollout_stream(self.controller, key, timeout))

    async def refusals(self, request: Request) -> Response:
        app, asked = app_of(request), await parsed(request, Asked)
        found = await self.controller.asked(
            lambda r: refusals(r.world, self.controller, app, asked)
        )
        return JSONResponse([asdict(refusal) for refusal in found])

    async def held_secrets(self, request: Request) -> Response:
        app = app_of(request)
        return JSONResponse(await self.controller.asked(lambda r: r.held_secrets(app)))

    async def forget_secrets(self, request: Request) -> Response:
        app, kept = app_of(request), await parsed(request, Kept)
        await self.controller.asked(lambda r: r.forget_secrets(app, kept.versions))
        return Response(status_code=204)

    async def status(self, request: Request) -> Response:
        app = app_of(request)
        found = await self.controller.asked(
            lambda r: sights.status(r.world, app, self.controller.nodes())
        )
        return JSONResponse(found)

    async def why(self, request: Request) -> Response:
        app, wanted = app_of(request), request.query_params.get("replica", "")
        found = await self.controller.asked(
            lambda r: sights.why(r.world, app, wanted, self.controller.nodes())
        )
        if found is None:
            raise errors.UsageFault(
                f"there is no service, job or replica {wanted!r}",
                place=f"{app.namespace}/{app.name}",
                mend="see `orch ps`",
            )
        return JSONResponse(found)

    async def stats(self, request: Request) -> Response:
        app = app_of(request)
        ids = await self.controller.asked(
            lambda r: {
                a.id for a in r.world.allocs.values() if r.world.resources[a.uid].key.app == app
            }
        )
        found = await asyncio.to_thread(self.controller.agent.stats)
        return JSONResponse({id_: dict(use) for id_, use in found.items() if id_ in ids})

    async def logs(self, request: Request) -> Response:
        return _lines(log_stream(self.controller, app_of(request), request.query_params))

    async def events(self, request: Request) -> Response:
        query = request.query_params
        since = float(query["since"]) if "since" in query else None
        follow = query.get("follow") == "1"
        rows = event_stream(
            self.controller, self.server.store, app_of(request), since, follow=follow
        )
        return _lines(rows)

    # -- records and the lock --------------------------------------------------------------

    async def record_names(self, request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        names = await asyncio.to_thread(records.names, self.server.store, app_of(request), prefix)
        return JSONResponse(names)

    async def read_record(self, request: Request) -> Response:
        name = request.path_params["name"]
        data = await asyncio.to_thread(records.read, self.server.store, app_of(request), name)
        if data is None:
            return _absent(name)
        return Response(data, media_type="application/octet-stream")

    async def create_record(self, request: Request) -> Response:
        app, name = app_of(request), request.path_params["name"]
        data = await request.body()
        done = self.server.store.run(lambda c: records.create(c, app, name, data))
        await asyncio.wrap_future(done)
        return Response(status_code=201)

    async def delete_record(self, request: Request) -> Response:
        app, name = app_of(request), request.path_params["name"]
        await asyncio.wrap_future(self.server.store.run(lambda c: records.delete(c, app, name)))
        return Response(status_code=204)

    async def acquire(self, request: Request) -> Response:
        app, wish = app_of(request), await parsed(request, Acquire)
        done = self.server.store.run(
            lambda c: records.acquire(c, app, wish.holder, wish.ttl, wish.process)
        )
        return JSONResponse(_row(await asyncio.wrap_future(done)))

    async def renew(self, request: Request) -> Response:
        app, wish = app_of(request), await parsed(request, Renew)
        done = self.server.store.run(lambda c: records.renew(c, app, wish.token, wish.ttl))
        return JSONResponse(_row(await asyncio.wrap_future(done)))

    async def release(self, request: Request) -> Response:
        app, held = app_of(request), await parsed(request, Token)
        done = self.server.store.run(lambda c: records.release(c, app, held.token))
        await asyncio.wrap_future(done)
        return Response(status_code=204)

    async def break_lock(self, request: Request) -> Response:
        app = app_of(request)
        holder = await asyncio.wrap_future(
            self.server.store.run(lambda c: records.break_lock(c, app))
        )
        return JSONResponse({"holder": holder})

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(document(operations(self)))

    async def exec(self, socket: WebSocket) -> None:
        await serve_exec(self.controller, app_of(socket), socket)


_APP = "/v1/apps/{namespace}/{app}"
_JSON = "application/json"
_RESOURCE = _APP + "/resources/{kind}/{name:path}"
_RECORD = _APP + "/records/{name:path}"


def operations(api: Api) -> tuple[Operation, ...]:
    """Everything that the API does."""
    return (*_of_server(api), *_of_resources(api), *_of_what_runs(api), *_of_records(api))


def _of_server(api: Api) -> tuple[Operation, ...]:
    op = Operation
    return (
        op("GET", "/v1/about", "Who answers.", api.about, gives=About),
        op("GET", "/v1/openapi.json", "This document.", api.openapi),
        op("GET", "/v1/node", "Facts of the node.", api.node),
        op("POST", "/v1/stop", "End the server.", api.stop, takes=StopServer),
        op("GET", "/v1/apps", "Every instance.", api.apps),
    )


def _of_resources(api: Api) -> tuple[Operation, ...]:
    op, all_of_it = Operation, _APP + "/resources"
    stored, refused = list[StoredResource], list[Refusal]
    return (
        op("GET", all_of_it, "An instance's resources.", api.resources, gives=stored),
        op("GET", _RESOURCE, "One resource.", api.resource, gives=StoredResource),
        op("PUT", _RESOURCE, "Create or change a resource.", api.put, Put, StoredResource),
        op("DELETE", _RESOURCE, "Begin to remove a resource.", api.delete),
        op("POST", _APP + "/restart", "Replace all replicas.", api.restart, takes=Named),
        op("POST", _APP + "/retry", "Start anew what failed.", api.retry, takes=Named),
        op("POST", _APP + "/promote", "Let a canary go on.", api.promote, takes=Named),
        op("GET", _APP + "/rollout", "Follow a change to its end.", api.rollout, stream=True),
        op("POST", _APP + "/refusals", "What can't be run now.", api.refusals, Asked, refused),
    )


def _of_what_runs(api: Api) -> tuple[Operation, ...]:
    op, figures = Operation, dict[str, dict[str, float]]
    return (
        op("GET", _APP + "/status", "Services, jobs and replicas.", api.status),
        op("GET", _APP + "/why", "Why a replica is where it is.", api.why, gives=list[str]),
        op("GET", _APP + "/stats", "Cpu and memory by replica.", api.stats, gives=figures),
        op("GET", _APP + "/logs", "What replicas print.", api.logs, stream=True),
        op("GET", _APP + "/events", "What happened.", api.events, stream=True),
    )


def _of_records(api: Api) -> tuple[Operation, ...]:
    op, secrets, versions = Operation, _APP + "/secrets", dict[str, list[str]]
    kept = "Versions of secrets that are kept."
    return (
        op("GET", secrets, kept, api.held_secrets, gives=versions),
        op("POST", secrets + "/forget", "Drop other versions.", api.forget_secrets, takes=Kept),
        op("GET", _APP + "/records", "Names of records.", api.record_names, gives=list[str]),
        op("GET", _RECORD, "Read a record.", api.read_record),
        op("PUT", _RECORD, "Write a record once.", api.create_record),
        op("DELETE", _RECORD, "Remove a record.", api.delete_record),
        op("POST", _APP + "/lock/acquire", "Take the lock.", api.acquire, Acquire, HeldLock),
        op("POST", _APP + "/lock/renew", "Keep the lock.", api.renew, Renew, HeldLock),
        op("POST", _APP + "/lock/release", "Give the lock back.", api.release, takes=Token),
        op("POST", _APP + "/lock/break", "Remove whatever lock there is.", api.break_lock),
    )


def application(server: Server) -> Starlette:
    """The API as an ASGI application."""
    api = Api(server)
    routes: list[Any] = [Route(o.path, o.handler, methods=[o.method]) for o in operations(api)]
    routes.append(WebSocketRoute(_APP + "/exec", api.exec))
    handlers: Any = {errors.OrchError: _told, Exception: _unexpected, 404: _no_route}
    return Starlette(routes=routes, exception_handlers=handlers)


def _row(lock: HeldLock) -> dict[str, Any]:
    return asdict(lock)


def _lines(rows: Any) -> Response:
    return StreamingResponse(json_lines(rows), media_type="application/x-ndjson")


async def _told(_request: Request, fault: Exception) -> Response:
    return answer(problem_of(fault))


async def _unexpected(request: Request, fault: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return answer(problem_of(fault))


async def _no_route(request: Request, _fault: Exception) -> Response:
    return _absent(request.url.path)


def _absent(what: str) -> Response:
    return answer(Problem("not-found", 404, "not found", f"there is no {what}"))
