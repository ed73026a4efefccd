"""A list of goods in memory: GET tells it, POST adds to it."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

goods = []


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(json.dumps(goods))

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        goods.append(self.rfile.read(length).decode())
        self.answer("added")

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


address = os.environ.get("ORCH_ADDRESS", "0.0.0.0")
ThreadingHTTPServer((address, int(os.environ["PORT"])), Store).serve_forever()
