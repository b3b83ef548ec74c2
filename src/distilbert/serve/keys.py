"""Who may ask: keys that come as ``Authorization: Bearer KEY``."""

import hashlib
import hmac
from collections.abc import Sequence

from starlette.requests import Request

from distilbert.serve.refusals import Unauthorized


def authorize(request: Request, keys: Sequence[str]) -> str:
    """The name of the key that a request comes with; nothing of the key can be told from it.

    All keys are compared, each in constant time, so that no answer is quicker for being nearly right.

    Raises:
        Unauthorized: it is none of these.
    """
    if not keys:
        return ""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    # Headers are read as Latin-1: these are the bytes that came.
    digest = hashlib.sha256(given.strip().encode("latin-1")).digest()
    known = ""
    for key in keys:
        own = hashlib.sha256(key.encode()).digest()
        if hmac.compare_digest(own, digest):
            known = own.hex()[:12]
    if not known or scheme.lower() != "bearer":
        raise Unauthorized("A request must come with a key, as Authorization: Bearer KEY.")
    return known
