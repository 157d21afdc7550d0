"""Ring 1: whose words a value is. Read `text`, `kinds`, `dates`, `labels`, `known`, `ledger`, `bind`, in this order.

The ledger takes in everything that a run reads or writes, with labels; `bind` then says of each argument of a call
which sources stand behind it. Pure and synchronous.
"""

from interlock.provenance.bind import Binding, Bound
from interlock.provenance.errors import ProvenanceError
from interlock.provenance.ledger import Ledger, Shown

__all__ = ["Binding", "Bound", "Ledger", "ProvenanceError", "Shown"]
