"""The protocol's messages, as classes: made of open_inference.binpb in a pool of their own; the .proto says why."""

from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

FILE: Final = Path(__file__).with_name("open_inference.binpb")


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(FILE.read_bytes()).file
    for one in files:
        pool.Add(one)
    names = [f"{one.package}.{message.name}" for one in files for message in one.message_type]
    found = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}
    return {name.rpartition(".")[2]: one for name, one in found.items()}


# Their attributes are known when they run, and not before.
CLASSES: Final[dict[str, Any]] = _classes()
