"""What the service counts, in the format of Prometheus."""

from __future__ import annotations

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TAKEN = "pool5.route"  # where the scope says which route a request has taken
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counts of one service."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # when each was first: as many lines again
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "pool5_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "pool5_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self.running = Gauge("pool5_requests_running", "Requests being answered.", registry=self.registry)

    def gauge(self, name: str, about: str) -> Gauge:
        """A further number that is looked up when it is asked for (`Gauge.set_function`)."""
        return Gauge(f"pool5_{name}", about, registry=self.registry)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)

    def measured(self, app: ASGIApp) -> ASGIApp:
        """The application, with its requests counted by route: what a client makes up is no name here."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = "0"  # of a client that left before an answer

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            begun = time.perf_counter()
            with self.running.track_inprogress():
                try:
                    await app(scope, receive, noted)
                finally:
                    route = scope.get(TAKEN, "none")
                    method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
                    self._requests.labels(method, route, status).inc()
                    self._seconds.labels(route).observe(time.perf_counter() - begun)

        return counted
