"""The verbs of `./fleet`. Each is loaded only when it is asked for: help needs none of the packages."""

import difflib
import importlib
import sys

from dev import FleetError

HELP = """\
Usage: ./fleet VERB [arguments]

  up              start everything in the foreground: PostgreSQL, Valkey and the four services; Ctrl-C stops it
  demo            load the sample patients into the running fleet, and print three logins to try
  import DIR      load your own directory of the same layout (see database/samples) into the running fleet
  test [args]     run the tests against servers of their own; arguments go to pytest (-k name, -x, a path)
  test --scale    the tests on several servers of each kind: failovers, PgBouncer, Sentinels
  bench           measure the routes on a fleet and 10,000 patients of its own, and write docs/benchmarks; --quick,
                  --patients N, --output DIR (apt-get install -y wrk makes it exacter)
  check           lint, format, types, architecture fences, security advisories; changes nothing
  migrate         bring the schema of DATABASE_URL, or of the running fleet, up to date
  admin create EMAIL
                  create another admin; asks for the password, or takes ADMIN_PASSWORD
  activations FILE
                  write a token to set the first password, for each account that has none, to a new CSV file
  keys rotate     make a new key to sign access tokens; nobody is logged out
  audit verify    recompute the audit trail's chains; finds what was changed or is missing
  audit watch     do so every day, for Prometheus
  scores recompute
                  compute every stored health score anew; for every night, and after a change of the model
  backup FILE     write the database and the sessions, as of one moment, to FILE (- is standard output)
  restore FILE    bring them back into an empty fleet, or with --force in the place of what is there
  secrets         write fresh secrets for docker compose into .env, once
  lock            resolve the dependencies anew and write every lock and requirements.txt (needs uv)
  help            show this

The environment chooses: PREDICTHEALTH_DATA_DIR (.predicthealth), HOST (127.0.0.1), AUTH_PORT (8003),
DOCTORS_PORT (8000), INSTITUTIONS_PORT (8002), PATIENTS_PORT (8004); DATABASE_URL and REDIS_URL to use
servers of your own; and every setting of the services, such as LOG_LEVEL or CORS_ORIGINS (see README.md).
"""

# The function of each verb: it takes the arguments and returns the exit status.
VERBS = {
    "up": "dev.up:run",
    "demo": "dev.running:demo",
    "import": "dev.running:import_directory",
    "migrate": "dev.running:migrate",
    "admin": "dev.running:admin",
    "activations": "dev.running:activations",
    "keys": "dev.running:keys",
    "audit": "dev.running:audit",
    "scores": "dev.running:scores",
    "backup": "dev.backup:run",
    "restore": "dev.restore:run",
    "secrets": "dev.dotenv:run",
    "test": "dev.test:run",
    "bench": "dev.bench.command:run",
    "check": "dev.check:run",
    "lock": "dev.lock:run",
}


def main(verb: str = "help", *arguments: str) -> int:
    """Run a verb and return the exit status; an error that the person can put right is one line, not a traceback."""
    if verb in ("help", "-h", "--help"):
        print(HELP, end="")
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        print(f"fleet: there is no verb {verb}{meant}; ./fleet help lists them", file=sys.stderr)
        return 2
    module, _, function = VERBS[verb].partition(":")
    try:
        return int(getattr(importlib.import_module(module), function)(arguments))
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
