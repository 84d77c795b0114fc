"""What operators have said, in the registry database.

switches            Switches, JSON; kept
applied-config      AppliedConfig, JSON; kept
config:{version}    ConfigInForce, JSON; 800 days
configs             index: versions by when they last came into force; the newest 1,000
"""

from collections.abc import Sequence
from typing import TypeVar

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.stored.switches import CONFIG_COUNT_MAX, AppliedConfig, ConfigInForce, Switches
from sentinel.stores.reading import readable

Said = TypeVar("Said", Switches, AppliedConfig)

_KEPT_S = 800 * 86_400.0
_SWITCHES, _APPLIED = "switches", "applied-config"


class StoredOperating:
    """`ports.OperatingStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        # As they were read last: another version of Sentinel may have written other fields.
        self._read: dict[str, tuple[object, bytes | None]] = {}

    async def switches(self) -> Switches:
        return await self._said(Switches, _SWITCHES, "read what is paused")

    async def change_switches(self, before: Switches, after: Switches) -> bool:
        return await self._change(_SWITCHES, before, after, "change what is paused")

    async def applied(self) -> AppliedConfig:
        return await self._said(AppliedConfig, _APPLIED, "read the applied configuration")

    async def change_applied(self, before: AppliedConfig, after: AppliedConfig) -> bool:
        return await self._change(_APPLIED, before, after, "apply a configuration")

    async def keep_config(self, config: ConfigInForce) -> None:
        name = f"config:{config.version}"
        change = Change(
            puts={name: encode_stored(config)},
            lifetimes={name: _KEPT_S},
            indexed={"configs": {config.version.encode(): config.at_ms}},
            newest={"configs": CONFIG_COUNT_MAX},
        )
        await self._documents.change(change, doing="keep the configuration in force")

    async def config(self, version: str) -> ConfigInForce | None:
        found = await self._configs([version])
        return found[0] if found else None

    async def configs(self, count: int) -> list[ConfigInForce]:
        versions = await self._documents.newest(
            "configs", 0, count, doing="list the configurations that were in force"
        )
        return await self._configs([one.decode() for one in versions])

    async def _configs(self, versions: Sequence[str]) -> list[ConfigInForce]:
        names = [f"config:{version}" for version in versions]
        found = await self._documents.get(names, doing="read a configuration that was in force")
        return list(readable(ConfigInForce, names, found).values())

    async def _said(self, kind: type[Said], name: str, doing: str) -> Said:
        [found] = await self._documents.get([name], doing=doing)
        value = kind() if found is None else decode_stored(kind, found)
        self._read[name] = value, found
        return value

    async def _change(self, name: str, before: Said, after: Said, doing: str) -> bool:
        assert after.number > before.number
        read, data = self._read.get(name, (None, None))
        if read != before:
            data = encode_stored(before) if before.number else None
        change = Change(expected={name: data}, puts={name: encode_stored(after)})
        return await self._documents.change(change, doing=doing)
