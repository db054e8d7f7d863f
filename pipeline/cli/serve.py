"""`pool5 serve`: ask the store over HTTP."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError

if TYPE_CHECKING:
    from ..serve.hosts import Hosts

# BLAS's threads sleep once a product is done; by default they turn for some 25 ms, in the way of HTTP
_REST = ("OPENBLAS_THREAD_TIMEOUT", "4")
_RATE = 100.0  # requests a second of a client that comes from elsewhere


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any.")
@click.option(
    "--token",
    envvar="POOL5_TOKEN",
    help="A secret that every request has to show; a must beyond this machine. Best in $POOL5_TOKEN.",
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="Answer under this name too; repeatable."
)
@click.option(
    "--rate",
    type=click.FloatRange(0),
    help=f"Requests a second of one client, 0 for any number.  [default: 0 at loopback, else {_RATE:g}]",
)
@click.option("--warm", is_flag=True, help="Start PyTorch at once, not with the first image or text.")
@click.option(
    "--export",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the page and its data to DIR, as files for any web server or bucket, and end.",
)
def serve(
    host: str,
    port: int,
    token: str | None,
    names: tuple[str, ...],
    rate: float | None,
    warm: bool,
    folder: Path | None,
) -> None:
    """Answer questions to the project's store over HTTP, and give a page to ask them with.

    It only reads. A run of the pipeline underneath is noticed: answers come from the state before, until the
    new one is whole. Images and words need PyTorch, which runs in a process of its own.
    """
    if folder is not None:
        _export(folder)
        return
    here = is_loopback(host)
    if not here and not token:
        raise UserError(
            f"--host {host} lets other machines ask; give --token SECRET as well, or leave --host out"
        )
    if token is not None and not token.strip():
        raise UserError("--token is empty; give a secret, or leave it out")
    listening = listen(host, port)
    os.environ.setdefault(*_REST)  # NumPy, imported below, reads it as it starts
    from ..project import Project
    from ..questions.vector_process import VectorProcess
    from ..serve.app import make_app
    from ..serve.limits import Limits
    from ..serve.running import run

    limits = Limits(rate=rate if rate is not None else 0.0 if here else _RATE)
    project = Project()
    vectors = VectorProcess(project, pixels=limits.pixels)
    hosts = hosts_of(host, names)
    app = make_app(project, limits=limits, hosts=hosts, token=token, vectors=vectors)
    if warm:
        vectors.start()
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"http://{shown}:{listening.getsockname()[1]}/  (Ctrl-C ends it)")
    run(app, listening)


def _export(folder: Path) -> None:
    from ..files.hints import counted
    from ..questions.open_store import OpenStore
    from ..serve.export import export

    done = export(OpenStore.open(), folder)
    told = f"{counted(done.images, 'image')}, {counted(done.layers, 'layer')}, {done.size / 1e6:.1f} MB"
    click.echo(f"{folder}: {told}; give it to any web server: python -m http.server -d {folder}")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(host: str, names: tuple[str, ...]) -> Hosts:
    """The names to answer under: those that were given, and, beyond this machine, its own and any address."""
    from ..serve.hosts import Hosts

    if is_loopback(host):
        return Hosts(frozenset(name.lower() for name in names))
    own = (host, socket.gethostname(), *names)
    return Hosts(frozenset(name.lower() for name in own), addresses=True)


def listen(host: str, port: int) -> socket.socket:
    """Take an address; `UserError` if it is taken, or none of this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"--host {host} --port {port}: {why}; give another, or --port 0 for any") from None
    return listening
