"""A spec of any size: each service has about fifty set leaves, as the services of real files do.

Usage: spec.py SERVICES, prints YAML.
"""

from __future__ import annotations

import sys

HEAD = "apiVersion: orch/v1\nname: big\nservices:\n"
TAIL = "volumes: {uploads: {access: shared}}\nnetworks: {front: {}, back: {}}\n"
SERVICE = """\
  s%(n)d:
    image: ghcr.io/acme/web:1.4.%(n)d
    command: [serve, --port, "8080"]
    environment: {A: a%(n)d, B: "b", C: "c", D: "1", E: e, F: f, G: g, H: h}
    ports:
      - {name: http, target: 8080, app_protocol: http}
      - {name: admin, target: 9090, published: %(port)d, mode: host}
    probes:
      readiness:
        http: {path: /ready, port: http}
        interval: 5s
        timeout: 2s
      liveness: {http: {path: /live, port: http}, interval: 10s, initial_delay: 5s}
    volumes:
      - {type: volume, source: uploads, target: /data}
      - {type: tmpfs, target: /tmp, tmpfs: {size: 64M}}
    networks: {front: {}, back: {aliases: [www]}}
    read_only: true
    cap_drop: [ALL]
    stop_grace_period: 30s
    labels: {team: storefront, tier: web}
    deploy:
      replicas: 3
      resources:
        limits: {cpus: "0.50", memory: 256M, pids: 200}
        reservations: {cpus: "0.25", memory: 128M}
      restart_policy: {condition: any, delay: 5s, max_attempts: 3, window: 2m}
      update_config: {parallelism: 1, delay: 10s, order: start-first, monitor: 30s}
"""


def spec(services: int) -> str:
    """The YAML text of a spec with so many services."""
    bodies = (SERVICE % {"n": n, "port": 20000 + n} for n in range(services))
    return HEAD + "".join(bodies) + TAIL


if __name__ == "__main__":
    sys.stdout.write(spec(int(sys.argv[1])))
