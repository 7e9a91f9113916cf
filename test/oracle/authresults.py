"""Reads header fields as authres does: a JSON string or object on each line of
standard input, the answer in JSON on standard output.

{"claim": VALUE} asks which authserv-id the value of an Authentication-Results
field names: read as it is, decoded as Python's email package decodes it, with the
line broken as an MTA breaks it, and changed as some programs change it first.
{"field": VALUE} asks for the results."""

import base64
import email
import email.header
import email.policy
import json
import re
import sys
import unicodedata

import authres


def parse(value):
    return authres.AuthenticationResultsHeader.parse_value(value)


def unfold(value):
    return re.sub(r"\r?\n(?=[ \t])", "", value)


def message(policy, octets):
    m = email.message_from_bytes(b"Authentication-Results:" + octets + b"\r\n\r\n", policy=policy)
    return [str(v) for v in m.get_all("Authentication-Results", [])]


def decoded(value):
    """Returns a value as programs that use email.header decode it."""
    return str(email.header.make_header(email.header.decode_header(value)))


def concatenated(value):
    """The same without the spaces that make_header puts between charsets."""
    parts = email.header.decode_header(value)
    return "".join(t.decode(c or "ascii", "replace") if isinstance(t, bytes) else t for t, c in parts)


def broken(octets):
    """Breaks lines after 998 octets, as Postfix does when it passes mail on."""
    lines = (b"Authentication-Results:" + octets).split(b"\r\n")
    out = b"\r\n".join(b"\r\n ".join(l[i:i + 998] for i in range(0, max(len(l), 1), 998)) for l in lines)
    return out[len(b"Authentication-Results:"):]


def readings(octets):
    for o in (octets, broken(octets)):
        yield o.decode("utf-8", "replace")
        yield o.decode("latin-1")
        yield o.decode("utf-8", "ignore")
        for policy in (email.policy.compat32, email.policy.default):
            try:
                values = message(policy, o)
            except Exception:  # a reader does not believe what it cannot read
                continue
            for value in values:
                yield value
                for decode in (decoded, concatenated):
                    try:
                        yield decode(unfold(value))
                    except Exception:
                        pass


def lenient(text):
    """Yields what programs make of a text before they look at it: unchanged, without
    folds, without unprintable characters, without comments, cut at a NUL, with
    compatible characters replaced."""
    text = text.strip()
    yield text
    yield unfold(text)
    yield re.sub(r"\r?\n[ \t]+", "", text)
    yield "".join(c for c in text if c.isprintable())
    yield re.sub(r"\([^()]*\)", "", unfold(text)).strip()
    yield text.partition("\0")[0]
    yield text.replace("\\", "").replace('"', "")
    yield unicodedata.normalize("NFKC", unfold(text)).strip()


def claim(octets):
    ids = set()
    for value in {v for text in set(readings(octets)) for v in lenient(text)}:
        try:
            ids.add(parse(value).authserv_id)
        except Exception:
            pass
    return sorted(i for i in ids if i)


def results(value):
    # With a space for each fold: authres shows the TAB in a fold as "?".
    h = parse(re.sub(r"\r\n\t", " ", value))
    return {"id": h.authserv_id, "methods": [
        {"name": r.method, "result": r.result, "reason": r.reason or "",
         "props": [[p.type, p.name, p.value or ""] for p in r.properties]}
        for r in h.results]}


for line in sys.stdin:
    q = json.loads(line)
    try:
        if "claim" in q:
            answer = {"ids": claim(base64.b64decode(q["claim"]))}
        else:
            answer = {"results": results(base64.b64decode(q["field"]).decode("ascii"))}
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
