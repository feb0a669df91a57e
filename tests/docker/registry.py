"""A registry on this machine for tests of pulls: serves images of images.py over HTTP, as slow or broken as asked.

    with Registry() as registry:
        name = registry.push("llem/base:1", images.build("base"))   # "127.0.0.1:PORT/llem/base:1"
        registry.push("llem/base:1", another)                       # the tag moves
        registry.delay_s = 5          # of every blob (in pieces, so that a client that leaves is noticed)
        registry.broken = True        # blobs end too early
        registry.requests             # what was asked for
dockerd speaks plain HTTP to 127.0.0.0/8.
"""

import hashlib
import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import images

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    def __init__(self):
        self.delay_s, self.broken, self.denied = 0, False, False
        self.requests, self.blobs, self.manifests = [], {}, {}
        self.mark = os.urandom(4)
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                registry.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def push(self, name, image):
        """Serves the image under REPOSITORY:TAG; its whole name, and `digest_of(name)` then is its digest."""
        repository, _, tag = name.partition(":")
        layers = []
        for layer in image.layers:
            blob = images.compressed(layer)
            blob = blob[:4] + self.mark + blob[8:]  # its time: a daemon fetches what has one digest once, from whom it comes first
            self.blobs[digest(blob)] = blob
            layers.append({"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(blob), "digest": digest(blob)})
        self.blobs[digest(image.config)] = image.config
        config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(image.config), "digest": digest(image.config)}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
        self.manifests[repository, tag or "latest"] = self.manifests[repository, digest(manifest)] = manifest
        return f"{self.address}/{repository}:{tag or 'latest'}"

    def digest_of(self, name):
        repository, _, tag = name.removeprefix(f"{self.address}/").partition(":")
        return digest(self.manifests[repository, tag or "latest"])

    def answer(self, handler):
        self.requests.append(f"{handler.command} {handler.path}")
        if self.denied:
            return self.send(handler, 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
        if handler.path == "/v2/":
            return self.send(handler, 200, b"{}")
        asked = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", handler.path)
        if asked and asked.group(2) == "manifests" and (data := self.manifests.get((asked.group(1), asked.group(3)))):
            return self.send(handler, 200, data, MANIFEST)
        if asked and asked.group(2) == "blobs" and (data := self.blobs.get(asked.group(3))):
            return self.send(handler, 200, data, "application/octet-stream", slow=True)
        return self.send(handler, 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    def send(self, handler, status, data, kind="application/json", slow=False):
        handler.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", len(data)), ("Docker-Content-Digest", digest(data)),
                            ("Docker-Distribution-Api-Version", "registry/2.0")):  # fmt: skip
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if slow and self.broken:
            data = data[: len(data) // 2]
        try:
            pieces = 20 if slow and self.delay_s else 1
            size = -(-len(data) // pieces) or 1
            for start in range(0, len(data), size):
                handler.wfile.write(data[start : start + size])
                time.sleep(self.delay_s / pieces if slow else 0)
        except OSError:
            handler.close_connection = True
