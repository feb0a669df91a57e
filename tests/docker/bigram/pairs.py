"""The model itself: how often each byte follows each, kept between runs where the engine's caches are."""

import json
import os
from pathlib import Path

import hashlib


def count(text):
    table = [[0] * 256 for _ in range(256)]
    for a, b in zip(text, text[1:], strict=False):
        table[a][b] += 1
    return [max(range(256), key=lambda b: (row[b], -b)) for row in table]


def learn(path):
    """(the most frequent follower of each byte, whether it came from the cache)"""
    text = Path(path).read_bytes()
    cache = Path(os.environ["HOME"]) / ".cache" / "bigram" / f"{hashlib.sha256(text).hexdigest()}.json"
    if cache.exists():
        return json.loads(cache.read_text()), True
    followers = count(text)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps(followers))
    return followers, False
