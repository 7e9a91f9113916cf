"""Prints what Python's email package shows of From fields.

Each line of the input is the contents of a field, in base64; each line of the
output is a JSON object of what each parser shows: a list of addresses in base64.
"""

import base64
import email.policy
import email.utils
import json
import sys
from email import message_from_bytes

LENIENT = getattr(email.utils, "supports_strict_parsing", False)


def attempt(show):
    try:
        return [octets(a) for a in show() if a]
    except Exception:  # a reader that fails shows nothing
        return []


def octets(text):
    """Returns the octets that text was read from, in base64."""
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def shown(raw):
    # With the line ends of a file, as messages are stored: to getaddresses, a CR
    # ends comments and quoted strings.
    text = b"From:" + raw.replace(b"\r\n", b"\n") + b"\nSubject: s\n\nbody\n"
    new = message_from_bytes(text, policy=email.policy.default)
    old = message_from_bytes(text, policy=email.policy.compat32)
    value = dict(old.raw_items()).get("From", "")
    parsers = {
        "policy.default": lambda: [a.addr_spec for a in new["From"].addresses],
        "getaddresses": lambda: [a for _, a in email.utils.getaddresses([value])],
        "parseaddr": lambda: [email.utils.parseaddr(value)[1]],
    }
    if LENIENT:
        # As they were before the strict mode was introduced.
        parsers["lenient getaddresses"] = lambda: [a for _, a in email.utils.getaddresses([value], strict=False)]
        parsers["lenient parseaddr"] = lambda: [email.utils.parseaddr(value, strict=False)[1]]
    return {name: attempt(show) for name, show in parsers.items()}


for line in sys.stdin:
    print(json.dumps(shown(base64.b64decode(line))), flush=False)
