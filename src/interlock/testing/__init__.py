"""Models without intelligence, to test and to show with: what they say is written down beforehand.

`ScriptedModel` answers line by line. `ObedientModel` stands for a model that is fully hijacked: it carries out every
order that it reads, whoever wrote it. `ModelServer` speaks the providers' wire formats on loopback, so that the real
SDKs can talk to either; `respond` gives the same answers without a server. None of this is a language model.
"""

from interlock.testing.model import (
    Conversation,
    Failure,
    Message,
    Model,
    ObedientModel,
    Reply,
    ScriptedModel,
    ScriptError,
    Step,
    Use,
    orders,
)
from interlock.testing.server import ModelServer, Recorded, respond

__all__ = [
    "Conversation",
    "Failure",
    "Message",
    "Model",
    "ModelServer",
    "ObedientModel",
    "Recorded",
    "Reply",
    "ScriptError",
    "ScriptedModel",
    "Step",
    "Use",
    "orders",
    "respond",
]
