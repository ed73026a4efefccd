"""The verbs and what each does in a line, so that `--help` reads none of their files."""

from __future__ import annotations

from keyword import iskeyword

VERBS: dict[str, dict[str, str]] = {
    "Write a spec": {
        "validate": "Check a spec and tell all its faults.",
        "explain": "Tell what a field means, its default, and what becomes of it on a backend.",
        "schema": "Print the JSON Schema of the spec or of an output.",
        "import": "Write a spec from files of another format, or from what runs.",
        "compile": "Print what a backend makes of a spec, and what became of every field.",
        "compare": "Put backends side by side: what each would hold, emulate or lose.",
    },
    "Deploy": {
        "plan": "Show what a deploy would do.",
        "apply": "Do exactly what a saved plan says.",
        "deploy": "Bring a target to what the spec says, and watch it until it is healthy.",
        "diff": "Show the changed fields alone, or those between two revisions.",
        "rollback": "Return to an earlier revision.",
        "scale": "Change the number of replicas.",
        "restart": "Restart services, a few replicas at a time.",
        "down": "Remove an application.",
    },
    "Look": {
        "status": "Show whether an application is healthy.",
        "ps": "List every replica.",
        "logs": "Print what replicas print.",
        "events": "Show what happened on the target.",
        "history": "List the revisions that were deployed.",
        "drift": "Show what was changed behind our back.",
        "top": "Show the use of cpu and memory.",
        "wait": "Wait until services are healthy, completed or gone.",
        "exec": "Run a command in a replica.",
        "port-forward": "Reach ports of a service from here.",
    },
    "Set up": {
        "backends": "List the backends and whether each can be used.",
        "unlock": "Break the lock that a deploy left behind.",
        "completion": "Print the completion script of a shell.",
    },
}
SUMMARIES = {name: summary for verbs in VERBS.values() for name, summary in verbs.items()}


def module_of(name: str) -> str:
    """The module that holds a verb; `import` is a word that Python keeps for itself."""
    module = name.replace("-", "_")
    return f"orch.cli.verbs.{module}_" if iskeyword(name) else f"orch.cli.verbs.{module}"
