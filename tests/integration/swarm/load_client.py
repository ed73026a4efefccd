"""A client that asks without a pause, run as a process of its own: `load_client.py URL...`.

It turns to the next URL when one does not answer; what none answers is lost. It says `ready` after
the first answer, asks until its standard input ends, and then prints what it saw as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

ASKERS = 4
SECONDS = 5.0
"""How long an answer may take."""
PAUSE = 0.005
FIRST_SECONDS = 30.0


def page(place: str) -> str:
    """What a server answers on a connection of its own. Raises for any status but 200."""
    with closing(HTTPConnection(place, timeout=SECONDS)) as line:
        line.request("GET", "/")
        answer = line.getresponse()
        if answer.status != HTTPStatus.OK:
            raise HTTPException(str(answer.status))
        return answer.read().decode().strip()


class Client:
    """Asks in several threads until `over` is set."""

    def __init__(self, urls: list[str]) -> None:
        self.places = [urlsplit(url).netloc for url in urls]
        self.over = threading.Event()
        self.seconds: list[float] = []
        self.lost: Counter[str] = Counter()
        self.turned = 0
        self.texts: dict[str, None] = {}

    def ask(self) -> str:
        """One request to whoever answers; what did not, or nothing."""
        said = ""
        for number, place in enumerate(self.places):
            try:
                text = page(place)
            except (OSError, HTTPException) as fault:
                said = f"{type(fault).__name__}: {fault}"
            else:
                self.turned += number > 0
                self.texts[text] = None
                return ""
        return said

    def work(self) -> None:
        """Ask on and on."""
        while not self.over.is_set():
            began = time.monotonic()
            if said := self.ask():
                self.lost[said] += 1
            else:
                self.seconds.append(time.monotonic() - began)
            time.sleep(PAUSE)


def main(urls: list[str]) -> None:
    """Ask until standard input ends."""
    client = Client(urls)
    end = time.monotonic() + FIRST_SECONDS
    while said := client.ask():
        if time.monotonic() > end:
            sys.exit(said)
        time.sleep(0.1)
    print("ready", flush=True)
    askers = [threading.Thread(target=client.work) for _ in range(ASKERS)]
    for asker in askers:
        asker.start()
    sys.stdin.read()
    client.over.set()
    for asker in askers:
        asker.join()
    client.seconds.sort()
    seen = {
        "requests": len(client.seconds) + client.lost.total(),
        "lost": dict(client.lost),
        "turned": client.turned,
        "p99": client.seconds[len(client.seconds) * 99 // 100] if client.seconds else 0.0,
        "texts": list(client.texts),
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
