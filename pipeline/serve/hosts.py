"""Which names the service answers under: a page of another site that points its name here gets nothing."""

from __future__ import annotations

import dataclasses
import ipaddress

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The names of a service, which requests have to be sent to (against DNS rebinding).

    Attributes
    ----------
    names : set of str
        Beside those of the machine's loopback.
    addresses : bool
        Whether any IP address will do: no name of anybody's resolves to it then.
    """

    names: frozenset[str] = frozenset()
    addresses: bool = False

    def answers(self, host: str) -> bool:
        """Whether a Host header, with its port or without, means this service."""
        name = host.strip().lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        name = name.rstrip(".")
        return name in _HERE or name in self.names or (self.addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
