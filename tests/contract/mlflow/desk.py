"""Where tests ask: each time of a new adapter, as an operator would that was started anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from serinus.adapters.mlflow import Credentials, Limits, MlflowRegistry
from serinus.asks import Known, RegistryAsk, Server, Trouble
from tests.contract.mlflow.fakes import Counting, Secrets, WallClock


@dataclass
class Desk:
    """Asks one server."""

    server: Server
    home: str = ""
    own: Credentials = field(default_factory=Credentials)
    limits: Limits = field(default_factory=Limits)
    kube: Secrets = field(default_factory=Secrets)
    meter: Counting = field(default_factory=Counting)

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[MlflowRegistry]:
        """A new adapter."""
        registry = MlflowRegistry(self.kube, WallClock(), self.meter, home=self.home, own=self.own, limits=self.limits)
        try:
            yield registry
        finally:
            await registry.close()

    async def answers(self, *asks: RegistryAsk[Any]) -> list[Any]:
        """What these asks are answered: values and troubles."""
        async with self.registry() as registry:
            answers = await registry.answer(self.server, asks)
        assert answers.keys() == set(asks)
        given = [answers[ask] for ask in asks]
        return [answer.value if isinstance(answer, Known) else answer for answer in given]

    def ask[T](self, ask: RegistryAsk[T]) -> T:
        """What an ask is answered that is not kept from it by anything."""
        (value,) = asyncio.run(self.answers(ask))
        assert not isinstance(value, Trouble), value.message
        return value  # type: ignore[no-any-return]

    def trouble(self, ask: RegistryAsk[Any]) -> Trouble:
        """What keeps an ask from being answered."""
        (trouble,) = asyncio.run(self.answers(ask))
        assert isinstance(trouble, Trouble), trouble
        assert "\n" not in trouble.message
        return trouble
