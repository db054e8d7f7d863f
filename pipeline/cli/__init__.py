"""The command `pool5`.

Each command lives in a module that is imported when the command is called: a query must not wait for
what only an extraction needs.
"""

from __future__ import annotations

import importlib
import sys

import click

from pipeline import __version__
from pipeline.errors import UserError, told_in_one_line

_MODULE_OF = {
    "cache": "pipeline.cli.cache",
    "check": "pipeline.cli.check",
    "export": "pipeline.cli.features",
    "place": "pipeline.cli.place",
    "query": "pipeline.cli.query",
    "show": "pipeline.cli.features",
    "verify": "pipeline.cli.features",
    "why": "pipeline.cli.features",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULE_OF:
            return None
        return getattr(importlib.import_module(_MODULE_OF[cmd_name]), cmd_name)


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="pool5")
def pool5() -> None:
    """Query, inspect and keep the features that the pipeline stored."""


def main() -> None:
    """Run the command line; an error is one line on stderr and exit code 2."""
    with told_in_one_line():
        try:
            code = pool5.main(prog_name="pool5", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            print(error.ctx.get_help() if error.ctx else "")
            raise SystemExit(2) from None
        except click.ClickException as error:
            command = getattr(error, "ctx", None)
            path = command.command_path if command else "pool5"
            raise UserError(f"{error.format_message()} (see {path} --help)") from None
        except click.Abort:
            raise KeyboardInterrupt from None
        sys.exit(code if isinstance(code, int) else 0)
