"""Small sequence models that run as a stream on the device that hears.

    import edgeseq

    with edgeseq.load("kws.onnx") as stream:
        for event in stream.push(samples):
            print(event.to_json())

Importing this package loads numpy and nothing heavier; onnxruntime is loaded with the first model.
"""

from .errors import EdgeseqError
from .events import Endpoint, Event, Gap, Keyword, Speech, Text, Token
from .manifest import Manifest
from .runtime import Session
from .stream import Stream, load

__all__ = [
    "EdgeseqError",
    "Endpoint",
    "Event",
    "Gap",
    "Keyword",
    "Manifest",
    "Session",
    "Speech",
    "Stream",
    "Text",
    "Token",
    "__version__",
    "load",
]

__version__ = "0.1.0"
