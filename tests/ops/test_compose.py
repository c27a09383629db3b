"""What compose hands the gateway and Prometheus is what their configurations ask for."""

import re

from dev import ROOT
from dev.servers import DISCREET_LOG

from .gateway import TEMPLATES

COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
# The port inside is each image's own; the name is what Docker's name server knows.
SERVICES = {
    "auth": "servicio-auth-jwt:8003",
    "doctors": "servicio-doctores:8000",
    "institutions": "servicio-instituciones:8002",
    "patients": "servicio-pacientes:8004",
}


def block(service: str) -> str:
    """The lines of one service."""
    found = re.search(rf"^  {service}:\n(?:    .*\n|\n(?=    ))+", COMPOSE, re.M)
    assert found, service
    return found[0]


def test_every_blank_of_the_templates_is_filled_in() -> None:
    blanks = {
        name for path in TEMPLATES.glob("*.template") for name in re.findall(r"\$\{([^}]+)\}", path.read_text("utf-8"))
    }
    given = set(re.findall(r"^      ([A-Z_]+): ", block("gateway"), re.M))
    assert blanks == {name for name in given if not name.startswith("NGINX_")}
    passes = re.search(r'NGINX_ENVSUBST_FILTER: "(.+)"', block("gateway"))
    assert passes
    assert [name for name in blanks if not re.search(passes[1].replace("$$", "$"), name)] == []


def test_both_look_for_the_services_where_they_are() -> None:
    prometheus = (ROOT / "ops" / "monitoring" / "prometheus.yml").read_text("utf-8")
    for name, address in SERVICES.items():
        host, port = address.split(":")
        assert re.search(rf":{port}\"\]$", block(host), re.M)
        assert f"GATEWAY_{name.upper()}: {address}\n" in block("gateway")
        assert f"job_name: {name}\n    dns_sd_configs:\n      - {{names: [{host}], type: A, port: {port}," in prometheus
    for host, port, set_by in (("gateway", "9113", "METRICS: 9113"), ("audit-watch", "9180", "LISTEN: 0.0.0.0:9180")):
        assert set_by in block(host)
        assert f"names: [{host}], type: A, port: {port}," in prometheus


def test_the_address_that_the_services_trust_is_the_gateways_alone() -> None:
    prefix = re.escape("${NETWORK_PREFIX:-172.20}")
    gateway = prefix + re.escape(".255.254")
    assert re.search(rf"^  TRUSTED_PROXIES: {gateway}(?![\d.])", COMPOSE, re.M)
    assert re.search(rf'ipv4_address: "{gateway}"', block("gateway"))
    # The lower half is given out.
    assert re.search(rf'subnet: "{prefix}\.0\.0/16", ip_range: "{prefix}\.0\.0/17"', COMPOSE)


def test_what_the_gateway_shares_with_the_services_is_set_for_both_at_once() -> None:
    """Else a larger body or another language of `.env` would hold for the gateway's own answers alone."""
    for_services = COMPOSE[: COMPOSE.index("\nservices:")]
    for name in ("MAX_BODY_BYTES", "CORS_ORIGINS", "DEFAULT_LANGUAGE"):
        line = re.search(rf"^ +{name}: (.+)$", block("gateway"), re.M)
        assert line and f"\n  {name}: {line[1]}\n" in for_services


def test_behind_the_gateway_alone_no_service_publishes_a_port() -> None:
    text = (ROOT / "ops" / "gateway" / "only-way-in.yml").read_text("utf-8")
    closed = re.findall(r"^  ([a-z-]+):\n    ports: !reset \[\]$", text, re.M)
    assert sorted(closed) == sorted(address.partition(":")[0] for address in SERVICES.values())


def test_postgresql_logs_no_values_here_either() -> None:
    assert [name for name, value in DISCREET_LOG.items() if f"-c, {name}={value}" not in block("postgres")] == []
