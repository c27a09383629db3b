"""The Kubernetes manifests: valid, strict about what a pod may do, and in agreement with the services that they run."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from auth_app.settings import AuthSettings

from dev import ROOT
from dev.settings import DEFAULT_PORTS
from shared.settings import ClientSettings

FOLDER = ROOT / "ops" / "kubernetes"
MANIFESTS = sorted(path for path in FOLDER.glob("base/**/*.yaml") if path.name != "kustomization.yaml")
SERVICES = {"auth", "doctors", "institutions", "patients"}
# What the cluster must have beforehand; docs/scale.md says what is in each.
SECRETS = {f"predicthealth-{name}" for name in (*SERVICES, "shared", "owner", "admin", "signing-keys")}

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    """The manifests of a file or of an output."""
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def built() -> list[Manifest]:
    """The overlay as the cluster would get it."""
    if shutil.which("kustomize"):
        command = ["kustomize", "build"]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    else:
        pytest.skip("neither kustomize nor kubectl is here to build the overlay")
    built = subprocess.run(
        [*command, str(FOLDER / "overlays" / "production")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return documents(built.stdout)


def of_kind(built: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """The manifests of some kinds by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in built if manifest["kind"] in kinds}


def pods(built: list[Manifest]) -> dict[str, Manifest]:
    """The pod template of everything that runs."""
    found = {name: manifest["spec"]["template"] for name, manifest in of_kind(built, "Deployment", "Job").items()}
    jobs = of_kind(built, "CronJob")
    return found | {name: manifest["spec"]["jobTemplate"]["spec"]["template"] for name, manifest in jobs.items()}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector fits a pod's labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(part["key"]) in part["values"] for part in selector.get("matchExpressions", []))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_each_manifest_is_valid_by_itself(path: Path) -> None:
    for manifest in documents(path.read_text(encoding="utf-8")):
        kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_built_overlay_is_valid_and_holds_no_secret(built: list[Manifest]) -> None:
    for manifest in built:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "predicthealth"
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in built]
    assert len(names) == len(set(names))
    assert not of_kind(built, "Secret")


def test_no_pod_may_do_more_than_it_must(built: list[Manifest]) -> None:
    assert len(pods(built)) == 7
    for name, pod in pods(built).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"] and not allowed["allowPrivilegeEscalation"], name
            assert allowed["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["image"].rpartition(":")[2] != "latest" and ":" in container["image"], name


def test_each_service_has_its_probes_its_budget_and_its_autoscaler(built: list[Manifest]) -> None:
    deployments, services = of_kind(built, "Deployment"), of_kind(built, "Service")
    budgets, autoscalers = of_kind(built, "PodDisruptionBudget"), of_kind(built, "HorizontalPodAutoscaler")
    assert deployments.keys() == services.keys() == budgets.keys() == autoscalers.keys()
    for name, deployment in deployments.items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        service = labels["app.kubernetes.io/name"]
        for other in deployments.values():
            theirs = other["spec"]["template"]["metadata"]["labels"]
            mine = other is deployment
            assert selects(deployment["spec"]["selector"], theirs) is mine
            assert selects({"matchLabels": services[name]["spec"]["selector"]}, theirs) is mine
            assert selects(budgets[name]["spec"]["selector"], theirs) is mine
        assert autoscalers[name]["spec"]["scaleTargetRef"]["name"] == name
        assert autoscalers[name]["spec"]["minReplicas"] >= 2
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["ports"] == [{"name": "http", "containerPort": DEFAULT_PORTS[service]}]
        assert services[name]["spec"]["ports"][0]["port"] == DEFAULT_PORTS[service]
        assert container["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}


def test_what_the_pods_are_told_are_settings_and_secrets_that_the_page_names(built: list[Manifest]) -> None:
    known = {name.upper() for name in (*AuthSettings.model_fields, *ClientSettings.model_fields)}
    (settings,) = of_kind(built, "ConfigMap").values()
    assert set(settings["data"]) <= known
    host, _, port = settings["data"]["AUTH_SERVICE_URL"].removeprefix("http://").partition(":")
    assert of_kind(built, "Service")[host]["spec"]["ports"][0]["port"] == int(port)
    used = set()
    for pod in pods(built).values():
        used |= {volume["secret"]["secretName"] for volume in pod["spec"].get("volumes", []) if "secret" in volume}
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])):
            assert {variable["name"] for variable in container.get("env", [])} <= known
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    assert source["configMapRef"]["name"] == settings["metadata"]["name"]
                else:
                    used.add(source["secretRef"]["name"])
    assert used == SECRETS
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in SECRETS)


def test_only_the_auth_service_gets_the_signing_keys_and_only_jobs_the_owner(built: list[Manifest]) -> None:
    holders: dict[str, set[str]] = {}
    for name, pod in pods(built).items():
        text = yaml.safe_dump(pod)
        for secret in SECRETS:
            if secret in text:
                holders.setdefault(secret, set()).add(name)
    assert holders["predicthealth-signing-keys"] == {"servicio-auth-jwt", "migrate"}
    assert holders["predicthealth-owner"] == {"migrate", "audit-verify"}
    assert holders["predicthealth-admin"] == {"migrate"}
    assert holders["predicthealth-patients"] == {"servicio-pacientes", "scores-recompute"}


def test_network_policies_close_everything_and_open_what_is_needed(built: list[Manifest]) -> None:
    policies = of_kind(built, "NetworkPolicy")
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(built).items()}
    closed = policies.pop("default-deny")["spec"]
    assert closed["podSelector"] == {} and set(closed["policyTypes"]) == {"Ingress", "Egress"}
    chosen = {
        name: {pod for pod, theirs in labels.items() if selects(policy["spec"]["podSelector"], theirs)}
        for name, policy in policies.items()
    }
    deployments = set(of_kind(built, "Deployment"))
    assert chosen["from-gateway-and-monitoring"] == deployments
    assert chosen["to-auth"] == {"servicio-auth-jwt"}
    assert chosen["services-to-auth"] == deployments - {"servicio-auth-jwt"}
    assert chosen["to-servers"] == set(labels)


def test_the_modules_that_jobs_run_are_there(built: list[Manifest]) -> None:
    for name in ("migrate", "scores-recompute", "audit-verify"):
        spec = pods(built)[name]["spec"]
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            python, option, module = container["command"][:3]
            assert (python, option) == ("python", "-m")
            folder = ROOT / container["image"].rpartition("/")[2].partition(":")[0]  # where the image works
            assert any((place / f"{module.replace('.', '/')}.py").exists() for place in (ROOT, folder)), module
