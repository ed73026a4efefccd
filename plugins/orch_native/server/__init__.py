"""The control plane: a durable store, pure decisions over it, one loop that writes, an HTTP API.

controller.py   the one loop: takes requests and observations, decides, commits, then tells
world.py        what the loop knows: every row in memory, written through to the store
store.py        typed tables in SQLite, one writer, group commit
service.py      pure: what a service's allocations shall become (rollout.py judges them)
jobs.py cron.py pure: runs, retries, schedules
scheduler.py    pure: which node, and why not
routing.py      pure: who answers for what
http.py         the API
"""
