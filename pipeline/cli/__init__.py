"""The command `pool5`.

Each command lives in a module that is imported when the command is called: a query must not wait for
what only an extraction needs.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from .. import __version__
from ..errors import UserError
from ..telling import told_in_one_line

_MODULE_OF = {
    "cache": "pool5.cli.cache",
    "check": "pool5.cli.check",
    "compare": "pool5.cli.compare",
    "export": "pool5.cli.features",
    "extract": "pool5.cli.extract",
    "forget": "pool5.cli.forget",
    "init": "pool5.cli.init",
    "mcp": "pool5.cli.mcp",
    "nodes": "pool5.cli.nodes",
    "place": "pool5.cli.place",
    "query": "pool5.cli.query",
    "serve": "pool5.cli.serve",
    "show": "pool5.cli.features",
    "verify": "pool5.cli.verify",
    "why": "pool5.cli.why",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULE_OF:
            return None
        command: click.Command = getattr(importlib.import_module(_MODULE_OF[cmd_name]), cmd_name)
        return command


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="pool5")
@click.option("-C", "folder", metavar="DIR", help="Run as if called in DIR, as make and git do.")
def pool5(folder: str | None) -> None:
    """Query, inspect and keep the features that the pipeline stored."""
    if folder is not None:
        os.chdir(folder)


def main() -> None:
    """Run the command line; an error is one line on stderr and exit code 2."""
    with told_in_one_line():
        try:
            # not click's own main, for which a reader that has gone (`| head`) is an error
            with pool5.make_context("pool5", sys.argv[1:]) as context:
                pool5.invoke(context)
        except click.exceptions.NoArgsIsHelpError as error:
            print(error.ctx.get_help() if error.ctx else "")
            raise SystemExit(2) from None
        except click.ClickException as error:
            command = getattr(error, "ctx", None)
            path = command.command_path if command else "pool5"
            raise UserError(f"{error.format_message()} (see {path} --help)") from None
        except click.exceptions.Exit as end:  # of --help and --version
            raise SystemExit(end.exit_code) from None
        sys.stdout.flush()
        sys.exit(0)
