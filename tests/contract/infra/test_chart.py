"""The Helm chart renders manifests that Kubernetes accepts, and that fit the roles."""

import re
from importlib.metadata import version
from typing import Any

import pytest

from schemas.topics import TOPICS
from tests.contract.infra.manifests import (
    CHART,
    HTTP_ROLES,
    METRICS_PORT,
    ROLES,
    Manifest,
    is_setting,
    of_kind,
    paths_of_api,
    paths_of_query,
    read_yaml,
    render,
    run_helm,
    schema,
    schema_errors,
)

EVERYTHING = (
    "autoscaling.keda=true",
    "autoscaling.triggerAuthentication=kafka",
    "podMonitor.enabled=true",
    "ingress.enabled=true",
    "ingress.path=/headrace",
    "ingress.host=example.com",
    "ingress.tlsSecretName=tls",
    "trustedProxies={10.0.0.0/8,192.168.0.0/16}",
    "settings.HEADRACE_KAFKA__TOPIC_PREFIX=eu-",
    "settings.HEADRACE_KAFKA__SECURITY_PROTOCOL=SASL_SSL",
    "settings.HEADRACE_KAFKA__SASL_MECHANISM=SCRAM-SHA-512",
    "roles.sinks.settings.HEADRACE_RETENTION__EVENTS_DAYS=90",
)
#: Kinds of operators, whose schemas are not those of Kubernetes.
CUSTOM = {"ScaledObject", "PodMonitor"}


@pytest.fixture(scope="module", params=["defaults", "everything"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    """Return the manifests with the default values, and with every option."""
    return render(*(EVERYTHING if request.param == "everything" else ()))


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod specifications by role, and that of the job."""
    found = {**of_kind(manifests, "Deployment"), **of_kind(manifests, "Job")}
    return {role: manifest["spec"]["template"]["spec"] for role, manifest in found.items()}


def containers(pod: Manifest) -> list[Manifest]:
    """Return the containers of a pod, those that run before the others first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(pod: Manifest) -> dict[str, str]:
    """Return the environment of the last container."""
    return {variable["name"]: variable["value"] for variable in containers(pod)[-1]["env"]}


def test_helm_finds_nothing_to_complain_about() -> None:
    """As `helm lint --strict`."""
    linted = run_helm("lint", "--strict", str(CHART))

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_kubernetes_accepts_each_manifest(manifests: list[Manifest]) -> None:
    """As kubeconform -strict: each field is known and has the right type."""
    definition = schema("kubernetes-1.34")
    errors = []
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM:
            name = definition["kinds"][f"{manifest['apiVersion']}/{manifest['kind']}"]
            one = {"$ref": f"#/definitions/{name}", "definitions": definition["definitions"]}
            errors += [f"{manifest['kind']} {error}" for error in schema_errors(one, manifest)]

    assert errors == []


def test_each_role_has_a_deployment_with_probes(manifests: list[Manifest]) -> None:
    """On the port of metrics, which the role serves and Prometheus finds."""
    found = pods(manifests)

    assert set(found) == {*ROLES, "setup"}
    for role in ROLES:
        (container,) = found[role]["containers"]
        assert container["args"] == [role]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        expected = {"metrics": METRICS_PORT, **({"http": 8080} if role in HTTP_ROLES else {})}
        assert ports == expected
        probes = {
            name: container[name]["httpGet"]
            for name in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert probes == {
            "startupProbe": {"path": "/healthz", "port": "metrics"},
            "livenessProbe": {"path": "/healthz", "port": "metrics"},
            "readinessProbe": {"path": "/readyz", "port": "metrics"},
        }


def test_every_container_is_restricted(manifests: list[Manifest]) -> None:
    """As the Pod Security Standard `restricted` demands, with a read-only file system."""
    for pod in pods(manifests).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_every_variable_is_a_setting(manifests: list[Manifest]) -> None:
    """A container with an unknown one would exit at once."""
    names = {name for pod in pods(manifests).values() for name in environment(pod)}

    assert {"HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "HEADRACE_DATABASE__URL_FILE"} <= names
    assert [name for name in names if not is_setting(name)] == []


def test_secrets_are_files_of_the_roles_that_need_them(manifests: list[Manifest]) -> None:
    """`api`, `streams` and `live` have no access to the database."""
    for role, pod in pods(manifests).items():
        needs = role in {"sinks", "query", "setup"}
        (mounted,) = [volume for volume in pod["volumes"] if "secret" in volume] or [None]
        assert (mounted is not None) is needs
        files = {value for value in environment(pod).values() if value.startswith("/etc/headrace")}
        items = mounted["secret"]["items"] if mounted else []
        assert files == {f"/etc/headrace/secrets/{item['path']}" for item in items}
        for container in containers(pod):
            paths = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert paths == {"/tmp", *(["/etc/headrace/secrets"] if needs else [])}  # noqa: S108


def test_disruptions_and_placement_leave_workers(manifests: list[Manifest]) -> None:
    """At most one pod of a role is evicted at a time; they are spread over nodes and zones."""
    budgets = of_kind(manifests, "PodDisruptionBudget")

    assert set(budgets) == set(ROLES)
    for role, deployment in of_kind(manifests, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selected = deployment["spec"]["selector"]["matchLabels"]
        assert selected.items() <= labels.items()
        assert budgets[role]["spec"] == {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selected},
        }
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        keys = {constraint["topologyKey"] for constraint in spread}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_the_job_prepares_kafka_and_the_database_first(manifests: list[Manifest]) -> None:
    """Before the roles of this version start, at the installation and at each upgrade."""
    job = of_kind(manifests, "Job")["setup"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    commands = [container["args"] for container in containers(pods(manifests)["setup"])]
    assert commands == [["topics", "create"], ["db", "upgrade"]]


def test_network_policies_admit_what_each_role_needs(manifests: list[Manifest]) -> None:
    """Only `sinks` reaches the internet, for webhooks, and no private network by it."""
    policies = of_kind(manifests, "NetworkPolicy")

    def ports(role: str, direction: str) -> set[int]:
        rules = policies[role]["spec"][direction]
        return {port["port"] for rule in rules for port in rule["ports"]}

    assert set(policies) == {*ROLES, "setup"}
    for role in ROLES:
        assert ports(role, "ingress") == {METRICS_PORT, *([8080] if role in HTTP_ROLES else [])}
    database, kafka = {5432, 6432}, {53, 9092, 9093}
    assert ports("api", "egress") == ports("streams", "egress") == ports("live", "egress") == kafka
    assert ports("query", "egress") == ports("setup", "egress") == kafka | database
    assert ports("sinks", "egress") == kafka | database | {443}
    # Helm creates a hook's resources in the order of their weights, and deletes older ones.
    assert "helm.sh/hook" in policies["setup"]["metadata"]["annotations"]


def test_http_roles_scale_on_cpu_and_the_others_on_lag() -> None:
    """A scaled deployment has no `replicas`, which an upgrade would reset."""
    manifests = render(*EVERYTHING)
    scaled = of_kind(manifests, "ScaledObject")

    assert set(of_kind(manifests, "HorizontalPodAutoscaler")) == set(HTTP_ROLES)
    assert set(scaled) == set(ROLES) - set(HTTP_ROLES)
    assert not any("replicas" in d["spec"] for d in of_kind(manifests, "Deployment").values())
    topics = {f"eu-{topic.name}" for topic in TOPICS}
    for role, manifest in scaled.items():
        (trigger,) = manifest["spec"]["triggers"]
        metadata = trigger["metadata"]
        assert (trigger["type"], metadata["consumerGroup"]) == ("kafka", f"eu-headrace-{role}")
        assert metadata["topic"] in topics
        assert (metadata["sasl"], metadata["tls"]) == ("scram_sha512", "enable")
        assert trigger["authenticationRef"] == {"name": "kafka"}
        assert metadata["lagThreshold"] == "10000"


def test_without_keda_workers_keep_their_number() -> None:
    """KEDA's resources could not be installed."""
    manifests = render()
    deployments = of_kind(manifests, "Deployment")

    assert of_kind(manifests, "ScaledObject") == {}
    replicas = {role: d["spec"].get("replicas") for role, d in deployments.items()}
    assert replicas == {"api": None, "query": None, "streams": 2, "live": 2, "sinks": 2}


def test_prometheus_finds_the_pods(manifests: list[Manifest]) -> None:
    """By annotations, or by a PodMonitor of the Prometheus Operator."""
    monitors = [manifest for manifest in manifests if manifest["kind"] == "PodMonitor"]
    for deployment in of_kind(manifests, "Deployment").values():
        annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
        assert ("prometheus.io/port" in annotations) is (not monitors)
        assert annotations.get("prometheus.io/port", str(METRICS_PORT)) == str(METRICS_PORT)
    for monitor in monitors:
        assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "metrics"}]


@pytest.mark.parametrize("root_path", ["", "/headrace"])
def test_the_ingress_forwards_each_path_to_its_role(root_path: str) -> None:
    """Also below a path, which the controller keeps and the roles know."""
    manifests = render("ingress.enabled=true", f"ingress.path={root_path}")
    (ingress,) = of_kind(manifests, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]

    def role_of(path: str) -> str:
        matches = [p for p in rule["http"]["paths"] if _matches(p, path)]
        longest = max(matches, key=lambda p: (len(p["path"]), p["pathType"] == "Exact"))
        return str(longest["backend"]["service"]["name"].rpartition("-")[2])

    paths = paths_of_query()
    assert {path: role_of(f"{root_path}{path}") for path in paths} == dict.fromkeys(paths, "query")
    others = paths_of_api()
    assert {path: role_of(f"{root_path}{path}") for path in others} == dict.fromkeys(others, "api")
    for pod in pods(manifests).values():
        assert environment(pod).get("HEADRACE_API__ROOT_PATH", "") == root_path
        url = environment(pod)["HEADRACE_QUERY__PUBLIC_URL"]
        assert url == f"http://stats.example.com{root_path}"


def _matches(rule: dict[str, Any], path: str) -> bool:
    """Return True if a rule of an Ingress is for a path: prefixes match by segments."""
    if rule["pathType"] == "Exact":
        return bool(rule["path"] == path)
    prefix = rule["path"].rstrip("/")
    return bool(path == prefix or path.startswith(f"{prefix}/"))


def test_the_settings_of_a_role_are_its_own() -> None:
    """They take precedence over those of all roles, and these over derived ones."""
    rendered = pods(
        render(
            "settings.HEADRACE_KAFKA__PARTITIONS=24",
            "roles.live.settings.HEADRACE_KAFKA__PARTITIONS=48",
            "settings.HEADRACE_API__TRUSTED_PROXIES=192.0.2.1",
            "trustedProxies={10.0.0.0/8}",
        )
    )
    partitions = {r: environment(pod)["HEADRACE_KAFKA__PARTITIONS"] for r, pod in rendered.items()}

    assert partitions == dict.fromkeys(rendered, "24") | {"live": "48"}
    assert environment(rendered["api"])["HEADRACE_API__TRUSTED_PROXIES"] == "192.0.2.1"


@pytest.mark.parametrize(
    "value",
    [
        "rolse.api.replicas=1",
        "roles.producer.replicas=1",
        "settings.KAFKA=x",
        "ingress.path=headrace",
        "secretFiles.HEADRACE_DATABASE__URL.key=x",
        "terminationGracePeriodSeconds=5",
    ],
)
def test_a_wrong_value_is_an_error(value: str) -> None:
    """It names the value, instead of being ignored."""
    rendered = run_helm("template", "release", str(CHART), f"--set={value}")

    assert rendered.returncode != 0
    assert re.search(r"values don't meet the specifications", rendered.stderr)


def test_the_chart_is_of_this_version() -> None:
    """Its default image is that of the version in pyproject.toml."""
    assert read_yaml(CHART / "Chart.yaml")["appVersion"] == version("headrace")
