"""A small Kubernetes client for the test's own acts and its stand-ins: JSON over TLS with a client certificate."""

import http.client
import json
import ssl
import threading

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    def __init__(self, port, ca, cert, key):
        self.port = port
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.load_cert_chain(cert, key)
        self.local = threading.local()

    def call(self, method, path, body=None, kind="application/json"):
        """Returns (status, document); an OSError when nothing answers."""
        for again in (True, False):
            reused = getattr(self.local, "connection", None)
            c = reused or http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=60)
            self.local.connection = c
            try:
                c.request(
                    method,
                    path,
                    None if body is None else json.dumps(body),
                    {"Content-Type": kind, "User-Agent": "real-test"},
                )
                r = c.getresponse()
                text = r.read()
                break
            except (OSError, http.client.HTTPException) as e:
                c.close()
                self.local.connection = None
                if not (again and reused):
                    raise OSError(f"{method} {path}: {e!r}") from e
        try:
            return r.status, json.loads(text)
        except ValueError:
            return r.status, text.decode(errors="replace")

    def must(self, method, path, body=None, kind="application/json"):
        status, doc = self.call(method, path, body, kind)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {doc}")
        return doc

    def get(self, path):
        status, doc = self.call("GET", path)
        return doc if status == 200 else None

    def watch(self, path, on_event):
        """Lists and watches for ever: on_event(type, object). Whatever breaks is begun again."""
        gate = threading.Event()
        while True:
            try:
                self._watch_once(path, on_event)
            except (OSError, ValueError, http.client.HTTPException, KeyError):
                gate.wait(0.2)

    def _watch_once(self, path, on_event):
        doc = self.get(path)
        if doc is None:
            raise OSError("list refused")
        for item in doc["items"] or []:
            on_event("ADDED", item)
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=90)
        c.request(
            "GET", f"{path}?watch=1&allowWatchBookmarks=true&resourceVersion={doc['metadata']['resourceVersion']}"
        )
        r = c.getresponse()
        while r.status == 200 and (line := r.readline()):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            if event["type"] != "BOOKMARK":
                on_event(event["type"], event["object"])
        c.close()
