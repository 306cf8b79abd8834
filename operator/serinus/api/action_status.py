"""The answer to an action, of both kinds."""

from typing import Literal

from pydantic import Field

from serinus.api.base import Line, StatusPart, Word
from serinus.api.scalars import Time

ActionResult = Literal["Done", "Refused"]


class LastAction(StatusPart):
    """The answer to the last action that was asked for by annotation."""

    id: Word = Field(description="Id that was given with it: each is executed once.")
    verb: Word = Field(description="What was asked for.")
    result: ActionResult = Field(description="Whether it was done.")
    message: Line = Field(default="", description="What was done, or why not.")
    at: Time | None = Field(default=None, description="When it was answered.")
