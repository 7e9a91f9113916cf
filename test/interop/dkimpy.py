"""Asks dkimpy about messages. It reads a request in JSON from each line of standard
input and writes the answer in JSON to standard output. The only argument is the DNS
server to use, as HOST:PORT."""

import base64
import json
import logging
import sys

import dkim
import dns.resolver

host, port = sys.argv[1].rsplit(":", 1)
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [host]
resolver.port = int(port)


def txt(name, timeout=5):
    """Returns the TXT record of a name, as dkimpy expects it."""
    if isinstance(name, bytes):
        name = name.decode("ascii")
    try:
        answer = resolver.resolve(name, "TXT", lifetime=timeout)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    return b"".join(list(answer)[0].strings)


class Log(logging.Handler):
    """Keeps what dkimpy logs: why a signature did not verify."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def verify_dkim(message, _):
    log = Log()
    logger = logging.Logger("dkimpy")
    logger.addHandler(log)
    d = dkim.DKIM(message, logger=logger, timeout=5)
    verdicts = []
    for i, _ in enumerate([h for h in d.headers if h[0].lower() == b"dkim-signature"]):
        log.lines.clear()
        try:
            ok, detail = d.verify(idx=i, dnsfunc=txt), "; ".join(log.lines)
        except dkim.DKIMException as e:
            ok, detail = False, str(e)
        verdicts.append({"result": "pass" if ok else "fail", "detail": "" if ok else detail})
    return verdicts


def verify_arc(message, _):
    cv, _, reason = dkim.arc_verify(message, dnsfunc=txt, timeout=5)
    return [{"result": (cv or b"none").decode(), "detail": reason}]


def private_key(o):
    """Returns a key from a PEM file as dkimpy expects it: Ed25519 as the bare seed,
    which is the end of the PKCS #8 structure."""
    if o["algorithm"].startswith("ed25519"):
        der = base64.b64decode("".join(o["key"].splitlines()[1:-1]))
        return base64.b64encode(der[-32:])
    return o["key"].encode()


def sign_dkim(message, o):
    field = dkim.sign(message, o["selector"].encode(), o["domain"].encode(), private_key(o),
                      canonicalize=(b"relaxed", b"relaxed"), signature_algorithm=o["algorithm"].encode())
    return field + message


def seal_arc(message, o):
    # dkimpy makes the set from the Authentication-Results field with our
    # authserv-id, and uses its arc= result for cv=.
    fields = dkim.arc_sign(message, o["selector"].encode(), o["domain"].encode(), o["key"].encode(),
                           o["authserv_id"].encode(), signature_algorithm=o["algorithm"].encode())
    if not fields:
        raise ValueError("dkimpy does not seal this message")
    return b"".join(fields) + message


verbs = {"verify_dkim": verify_dkim, "verify_arc": verify_arc, "sign_dkim": sign_dkim, "seal_arc": seal_arc}
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = verbs[request["verb"]](base64.b64decode(request["message"]), request)
        if isinstance(answer, bytes):
            answer = {"message": base64.b64encode(answer).decode()}
        else:
            answer = {"verdicts": answer}
    except Exception as e:  # the test must hear about it, whatever it is
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
