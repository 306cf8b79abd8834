"""Sketches of what goes into a model and what comes out of it: small, always on, and added up across pods.

`Sketches` watches a server's batches; `Numbers` and `Categories` are the sketches of one column; `merge` and `psi` are
pure functions over them; `Document` is what /sketches answers with.
"""

from serinus_server.sketches.categories import Categories
from serinus_server.sketches.document import Document, Side
from serinus_server.sketches.drift import psi
from serinus_server.sketches.merging import Sketch, merge
from serinus_server.sketches.numeric import Numbers
from serinus_server.sketches.recorder import Sketches

__all__ = ["Categories", "Document", "Numbers", "Side", "Sketch", "Sketches", "merge", "psi"]
