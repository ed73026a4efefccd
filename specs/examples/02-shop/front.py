"""The front: a page of what the store holds; what is posted goes to the store."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

STORE = f"http://{os.environ['ORCH_SERVICE_DB']}/"


class Front(BaseHTTPRequestHandler):
    def do_GET(self):
        with urlopen(STORE, timeout=2) as answer:
            goods = json.load(answer)
        replica = os.environ.get("ORCH_INDEX", "0")
        self.answer(f"{os.environ['GREETING']}! We have {', '.join(goods)}. (replica {replica})\n")

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        with urlopen(STORE, data=self.rfile.read(length), timeout=2):
            self.answer("Thank you.\n")

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


address = os.environ.get("ORCH_ADDRESS", "0.0.0.0")
ThreadingHTTPServer((address, int(os.environ["PORT"])), Front).serve_forever()
