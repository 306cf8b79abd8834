"""What a model is predicted with: the library that made it where that is known to answer the same, else pyfunc."""

from serinus_server.flavours.load import Model, load

__all__ = ["Model", "load"]
