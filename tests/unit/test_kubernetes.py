"""deploy/kubernetes, rendered as by Kustomize, held against schemas, images and the services' settings."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import AliasChoices

from services.avatar.settings import AvatarSettings
from services.chassis.settings import ServiceSettings
from services.gateway.settings import GatewaySettings
from services.tts.settings import TtsSettings

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
README = (KUBERNETES / "README.md").read_text("utf-8")
APPLIED = re.findall(r"kubectl apply -k deploy/kubernetes/(\S+)", README)
OLDEST = "1.30"
COMPOSE: Manifest = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SETTINGS: dict[str, type[ServiceSettings]] = {
    "tts": TtsSettings,
    "avatar": AvatarSettings,
    "gateway": GatewaySettings,
    "worker": GatewaySettings,
}
SERVED = ("tts", "avatar", "gateway")
WRITTEN = {
    "tts": {"CACHE_DIR"},
    "avatar": {"CACHE_DIR", "AVATAR_DIR", "AVATAR_PACK_DIR"},
    "gateway": {"CACHE_DIR", "VIDEO_OUTPUT_DIR"},
    "worker": {"CACHE_DIR", "VIDEO_OUTPUT_DIR"},
}
WEIGHTS = {"tts": "MODELS_DIR", "avatar": "AVATAR_MUSETALK_DIR"}
"""Which settings name folders that a service writes to, and reads weights from."""


# As much of Kustomize as the manifests use; anything else is refused, lest it be passed over.


def render(folder: Path) -> list[Manifest]:
    """Return the objects that `kubectl kustomize` makes of `folder`."""
    return apply(folder, yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8")), [])


def apply(folder: Path, kustomization: Manifest, manifests: list[Manifest]) -> list[Manifest]:
    """Return `manifests` and what the kustomization adds to them, patched."""
    known = {"apiVersion", "kind", "namespace", "resources", "components", "images", "patches"}
    assert kustomization.keys() <= known, f"the loader knows nothing of {kustomization.keys() - known}"
    for name in kustomization.get("resources", []):
        path = folder / name
        manifests = manifests + (render(path) if path.is_dir() else read(path))
    for name in kustomization.get("components", []):
        text = (folder / name / "kustomization.yaml").read_text("utf-8")
        manifests = apply(folder / name, yaml.safe_load(text), manifests)
    for entry in kustomization.get("patches", []):
        manifests = patched(manifests, folder, entry)
    for manifest in manifests:
        if manifest["kind"] != "Namespace" and "namespace" in kustomization:
            manifest["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(manifest):
            rename(container, kustomization.get("images", []))
    return manifests


def read(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def patched(manifests: list[Manifest], folder: Path, entry: Manifest) -> list[Manifest]:
    patch = yaml.safe_load(entry["patch"] if "patch" in entry else (folder / entry["path"]).read_text("utf-8"))
    wanted = entry.get("target", {"kind": patch["kind"], "name": patch["metadata"]["name"]})
    assert wanted.keys() <= {"kind", "name"}
    met = [one for one in manifests if wanted.items() <= {"kind": one["kind"], "name": one["metadata"]["name"]}.items()]
    assert met, f"nothing is {wanted}"
    change = {key: value for key, value in patch.items() if key not in ("apiVersion", "kind", "metadata")}
    return [merged(one, change) if one in met else one for one in manifests]


def merged(old: Any, new: Any, key: str = "") -> Any:
    """Return the strategic merge of what both have as `key`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {name: merged(old.get(name), value, name) for name, value in new.items()}
    if not isinstance(old, list):
        return copy.deepcopy(new)
    assert key == "containers", f"the loader knows nothing of merging {key}"
    changes = {one["name"]: one for one in new}
    assert changes.keys() <= {one["name"] for one in old}
    return [merged(one, changes.get(one["name"], {})) for one in old]


def rename(container: Manifest, images: list[Manifest]) -> None:
    name, _, tag = container["image"].partition(":")
    for image in images:
        if image["name"] == name:
            tag = image.get("newTag", tag)
            container["image"] = image.get("newName", name) + (f":{tag}" if tag else "")
            return


def containers(manifest: Manifest) -> list[Manifest]:
    spec = pod(manifest)
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def pod(manifest: Manifest) -> Manifest:
    spec: Manifest = manifest.get("spec", {})
    return spec["template"]["spec"] if "template" in spec else spec if manifest["kind"] == "Pod" else {}


# KEDA's objects, as its reference describes them.


def of(required: str, **properties: Manifest) -> Manifest:
    """Return the schema of an object with these properties and no others."""
    return {"required": required.split(), "properties": properties, "type": "object", "additionalProperties": False}


NAME, NUMBER, SWITCH = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
COUNT, FLAG = {"type": "string", "pattern": "^[0-9]+$"}, {"enum": ["true", "false"]}
"""A trigger has all its values as text."""

METRIC = {"enum": ["AverageValue", "Value"]}
REDIS = {
    "address": {"type": "string", "pattern": r"^[\w.-]+:\d+$"},
    "stream": NAME,
    "databaseIndex": COUNT,
    "enableTLS": FLAG,
    "unsafeSsl": FLAG,
}
TRIGGER = of(
    "type name metadata",  # a formula needs the name
    type={"const": "redis-streams"},
    name={"type": "string", "pattern": "^[a-z_]+$"},
    metricType=METRIC,
    useCachedMetrics=SWITCH,
    metadata={
        "oneOf": [  # of two measures KEDA would take one, in silence
            of(
                "address stream consumerGroup pendingEntriesCount",
                consumerGroup=NAME,
                pendingEntriesCount=COUNT,
                **REDIS,
            ),
            of(
                "address stream consumerGroup lagCount activationLagCount",
                consumerGroup=NAME,
                lagCount=COUNT,
                activationLagCount=COUNT,
                **REDIS,
            ),
            of("address stream streamLength", streamLength=COUNT, **REDIS),
        ]
    },
)
SCALED_OBJECT = of(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=of("name namespace", name=NAME, namespace=NAME),
    spec=of(
        "scaleTargetRef triggers",
        scaleTargetRef=of("name", apiVersion=NAME, kind=NAME, name=NAME, envSourceContainerName=NAME),
        pollingInterval=NUMBER,
        cooldownPeriod=NUMBER,
        initialCooldownPeriod=NUMBER,
        idleReplicaCount=NUMBER,
        minReplicaCount=NUMBER,
        maxReplicaCount=NUMBER,
        fallback=of("failureThreshold replicas", failureThreshold=NUMBER, replicas=NUMBER, behavior=NAME),
        triggers={"type": "array", "minItems": 1, "items": TRIGGER},
        advanced=of(
            "",
            restoreToOriginalReplicaCount=SWITCH,
            horizontalPodAutoscalerConfig=of("", name=NAME, behavior={"type": "object"}),
            scalingModifiers=of(
                "formula target", formula=NAME, target=COUNT, activationTarget=COUNT, metricType=METRIC
            ),
        ),
    ),
)


def validate(manifest: Manifest, version: str) -> None:
    """Raise an error where the API server of Kubernetes `version`, or KEDA, would refuse `manifest`."""
    if manifest["kind"] != "ScaledObject":
        kubernetes_validate.validate(manifest, version, strict=True)
        return
    jsonschema.validate(manifest, SCALED_OBJECT)
    spec = manifest["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    target = {"kind": "Deployment", "name": spec["scaleTargetRef"]["name"]}
    autoscaler = {"maxReplicas": spec["maxReplicaCount"], "scaleTargetRef": target, "behavior": behavior}
    made = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": autoscaler}
    kubernetes_validate.validate(made, version, strict=True)


class Rendered:
    """The objects of one overlay."""

    def __init__(self, folder: Path) -> None:
        self.all = render(folder)

    def of(self, kind: str) -> dict[str, Manifest]:
        return {one["metadata"]["name"]: one for one in self.all if one["kind"] == kind}

    @property
    def workloads(self) -> dict[str, Manifest]:
        return self.of("Deployment") | self.of("StatefulSet")

    @property
    def settings(self) -> dict[str, str]:
        data: dict[str, str] = self.of("ConfigMap")["talkie"]["data"]
        return data


@pytest.fixture(params=APPLIED, scope="module")
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return Rendered(KUBERNETES / request.param)


@pytest.fixture(scope="module")
def scaled() -> dict[str, Manifest]:
    return Rendered(KUBERNETES / "overlays" / "gpu-keda").of("ScaledObject")


def test_the_readme_tells_of_every_overlay_and_the_component_is_in_one() -> None:
    overlays = {f"overlays/{path.parent.name}" for path in KUBERNETES.glob("overlays/*/kustomization.yaml")}
    assert set(APPLIED) == {"base"} | overlays
    assert Rendered(KUBERNETES / "overlays" / "gpu-keda").of("ScaledObject").keys() == {"worker", "avatar"}


def test_the_folder_that_the_readme_proposes_changes_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "own").mkdir()
    (proposed,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "own" / "kustomization.yaml").write_text(proposed, "utf-8")
    own = Rendered(tmp_path / "own")
    built = [container["image"] for one in own.of("Deployment").values() for container in containers(one)]
    assert all(re.fullmatch(r"images\.example\.org/talkie-\w+(-gpu)?:1", image) for image in built)
    assert {claim["spec"]["storageClassName"] for claim in own.of("PersistentVolumeClaim").values()} == {"shared"}
    assert own.settings["TTS_REQUIRE_CONSENT"] == "true"
    assert own.settings["TTS_ENGINE"] == "qwen3"


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_the_api_server_takes_every_object(rendered: Rendered, version: str) -> None:
    assert f"Kubernetes {OLDEST} or later" in README
    for manifest in [*rendered.all, *read(KUBERNETES / "models.yaml")]:
        validate(manifest, version)


def test_names_are_given_once_and_all_is_in_one_namespace(rendered: Rendered) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in rendered.all]
    assert len(set(names)) == len(names)
    (namespace,) = rendered.of("Namespace")
    others = [*(one for one in rendered.all if one["kind"] != "Namespace"), *read(KUBERNETES / "models.yaml")]
    assert {one["metadata"].get("namespace") for one in others} == {namespace}


BEHAVIOR = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")
BROKEN: dict[str, tuple[str, tuple[str | int, ...], object]] = {
    "a word that Kubernetes does not know": ("Deployment", ("spec", "replica"), 2),
    "a number where text belongs": ("ConfigMap", ("data", "TTS_PORT"), 8002),
    "a list where a number belongs": ("PodDisruptionBudget", ("spec", "maxUnavailable"), [1]),
    "a container without a name": (
        "Deployment",
        ("spec", "template", "spec", "containers", 0),
        {"image": "talkie-tts"},
    ),
    "a word that KEDA does not know": ("ScaledObject", ("spec", "maxReplicas"), 3),
    "a trigger of two measures": ("ScaledObject", ("spec", "triggers", 0, "metadata", "pendingEntriesCount"), "1"),
    "a trigger with a number": ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagCount"), 1),
    "a behaviour that autoscalers do not have": ("ScaledObject", (*BEHAVIOR, "scaleDown", "window"), 3),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_refused(what: str) -> None:
    kind, (*path, last), value = BROKEN[what]
    manifest = next(one for one in render(KUBERNETES / "overlays" / "gpu-keda") if one["kind"] == kind)
    validate(manifest, OLDEST)
    place: Any = manifest
    for step in path:
        place = place[step]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(manifest, OLDEST)


def test_what_the_loader_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: my-", "utf-8")
    with pytest.raises(AssertionError, match="namePrefix"):
        render(tmp_path)
    with pytest.raises(AssertionError, match="nothing is"):
        patched([], tmp_path, {"patch": "{kind: Deployment, metadata: {name: away}}"})


def test_images_are_those_that_compose_builds(rendered: Rendered) -> None:
    built = {service["image"] for service in COMPOSE["services"].values() if "build" in service}
    pods = [*rendered.workloads.values(), *read(KUBERNETES / "models.yaml")]
    used = {container["image"] for one in pods for container in containers(one)}
    assert used <= built | {COMPOSE["services"]["redis"]["image"]}
    gpu = "-gpu" if "TTS_ENGINE" in rendered.settings else ""
    for service in ("tts", "avatar"):
        for container in containers(rendered.workloads[service]):
            assert container["image"] == f"talkie-{service}{gpu}"
    (worker,) = containers(rendered.workloads["worker"])
    assert worker["image"] == "talkie-gateway"
    assert worker["command"] == ["python", "-m", "services.gateway.worker"]


def variables(settings: type[ServiceSettings]) -> Iterator[str]:
    """Yield the names of the environment that `settings` reads."""
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        if alias is None:
            yield f"{settings.model_config['env_prefix']}{name}".upper()
        else:
            yield from (str(one) for one in (alias.choices if isinstance(alias, AliasChoices) else [alias]))


def test_every_name_of_the_environment_is_a_setting(rendered: Rendered) -> None:
    known = {name for settings in SETTINGS.values() for name in variables(settings)}
    assert rendered.settings.keys() <= known
    for service, kind in SETTINGS.items():
        for container in containers(rendered.workloads[service]):
            assert {one["name"] for one in container.get("env", [])} <= set(variables(kind))


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_starts_with_its_settings_and_has_volumes_where_they_say(
    rendered: Rendered, service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # away from anybody's .env
    for name in {name for kind in SETTINGS.values() for name in variables(kind)}:
        monkeypatch.delenv(name, raising=False)
    for name, value in rendered.settings.items():
        monkeypatch.setenv(name, value)
    SETTINGS[service]()
    container = containers(rendered.workloads[service])[-1]
    assert container["envFrom"] == [{"configMapRef": {"name": "talkie"}}]
    mounted = {True: set[str](), False: set[str]()}
    for mount in container["volumeMounts"]:
        mounted[mount.get("readOnly", False)].add(mount["mountPath"])
    assert mounted[False] == {rendered.settings[name] for name in WRITTEN[service]}
    weights = {rendered.settings[WEIGHTS[service]]} if service in WEIGHTS else set()
    assert all(any(Path(path).is_relative_to(folder) for folder in mounted[True]) for path in weights)
    assert len(mounted[True]) == len(weights)


def test_no_service_takes_the_name_of_a_setting(rendered: Rendered) -> None:
    # Kubernetes tells pods of a Service in variables: of one that is called gateway in GATEWAY_PORT.
    assert {pod(rendered.workloads[service])["enableServiceLinks"] for service in SETTINGS} == {False}


def test_addresses_are_those_of_services(rendered: Rendered) -> None:
    services = rendered.of("Service")
    for variable, value in rendered.settings.items():
        if variable.endswith("_URL"):
            name, port = re.findall(r"://(\w+):(\d+)", value)[0]
            assert int(port) in [one["port"] for one in services[name]["spec"]["ports"]]


def test_a_service_listens_where_its_image_does(rendered: Rendered) -> None:
    for service in SERVED:
        port = SETTINGS[service].model_fields["port"].default
        assert f"EXPOSE {port}\n" in (ROOT / "services" / service / "Dockerfile").read_text("utf-8")
        assert [one["containerPort"] for one in containers(rendered.workloads[service])[-1]["ports"]] == [port]
        assert [one["port"] for one in rendered.of("Service")[service]["spec"]["ports"]] == [port]


def test_replicas_are_told_apart_by_name_and_only_ready_ones_are_told(rendered: Rendered) -> None:
    for service in ("tts", "avatar"):
        spec = rendered.of("Service")[service]["spec"]
        assert spec["clusterIP"] == "None"
        assert not spec.get("publishNotReadyAddresses")
    assert "worker" not in rendered.of("Service")


def test_selectors_match_labels(rendered: Rendered) -> None:
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in rendered.workloads.items()}
    for name, one in rendered.workloads.items():
        assert one["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
    for selector, name in selectors(rendered):
        assert [found for found, given in labels.items() if selector.items() <= given.items()] == [name]
    assert rendered.of("PodDisruptionBudget").keys() == SETTINGS.keys()
    assert rendered.of("Service").keys() == {*SERVED, "redis", "store"}
    for name, kept in rendered.of("StatefulSet").items():
        assert kept["spec"]["serviceName"] == name


def selectors(rendered: Rendered) -> Iterator[tuple[dict[str, str], str]]:
    for name, one in rendered.of("Service").items():
        yield one["spec"]["selector"], name
    for name, one in rendered.of("PodDisruptionBudget").items():
        yield one["spec"]["selector"]["matchLabels"], name


def test_probes_and_services_name_ports_that_are_there(rendered: Rendered) -> None:
    for name, one in rendered.workloads.items():
        (container,) = pod(one)["containers"]
        ports = {port["name"] for port in container.get("ports", [])}
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        asked = [probe[action]["port"] for probe in probes for action in ("httpGet", "tcpSocket") if action in probe]
        assert set(asked) <= ports
        if ports:
            assert {port["targetPort"] for port in rendered.of("Service")[name]["spec"]["ports"]} <= ports
            assert {"readinessProbe", "livenessProbe"} <= container.keys()
        else:
            assert probes == []


def test_probes_ask_what_services_answer(rendered: Rendered) -> None:
    for service in SERVED:
        container = containers(rendered.workloads[service])[-1]
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    for service in ("tts", "avatar"):
        probe = containers(rendered.workloads[service])[-1]["startupProbe"]
        assert probe["httpGet"]["path"] == "/health/ready"
        assert probe["periodSeconds"] * probe["failureThreshold"] == 600


def test_a_pod_is_given_the_time_to_finish_its_work(rendered: Rendered) -> None:
    for service, grace_s in {**dict.fromkeys(SERVED, 35), "worker": 120}.items():
        spec = pod(rendered.workloads[service])
        assert spec["terminationGracePeriodSeconds"] == grace_s
        (container,) = spec["containers"]
        own = {one["name"]: one["value"] for one in container.get("env", [])}
        name = f"{SETTINGS[service].model_config['env_prefix']}DRAIN_S"
        drain_s = float((rendered.settings | own).get(name, ServiceSettings.model_fields["drain_s"].default))
        leaving_s = container["lifecycle"]["preStop"]["sleep"]["seconds"] if service in SERVED else 0
        assert 0 < grace_s - leaving_s - drain_s <= 10  # as long as it may, and not until it is killed


def test_volumes_that_are_mounted_are_there(rendered: Rendered) -> None:
    claims = rendered.of("PersistentVolumeClaim")
    for one in [*rendered.workloads.values(), *read(KUBERNETES / "models.yaml")]:
        volumes = {volume["name"]: volume for volume in pod(one).get("volumes", [])}
        own = {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in containers(one) for mount in container["volumeMounts"]}
        assert mounted == volumes.keys() | own
        claimed = [volume["persistentVolumeClaim"] for volume in volumes.values() if "emptyDir" not in volume]
        assert {claim["claimName"] for claim in claimed} <= claims.keys()
    assert all(claim["spec"]["accessModes"] == ["ReadWriteMany"] for claim in claims.values())


def test_every_container_is_nobody_special_and_says_what_it_needs(rendered: Rendered) -> None:
    for name, one in [*rendered.workloads.items(), *(("models", pod) for pod in read(KUBERNETES / "models.yaml"))]:
        spec = pod(one)
        assert spec["securityContext"]["runAsNonRoot"] is True
        if name in SERVED:
            dockerfile = (ROOT / "services" / name / "Dockerfile").read_text("utf-8")
            assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
        for container in containers(one):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            for side in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][side].keys()


def test_a_gpu_is_asked_for_where_an_engine_needs_one(rendered: Rendered) -> None:
    asking = {
        name
        for name, one in rendered.workloads.items()
        for container in containers(one)
        if container["resources"]["limits"].get("nvidia.com/gpu") == 1
    }
    assert asking == {service for service in ("tts", "avatar") if f"{service.upper()}_DEVICE" in rendered.settings}
    for service in asking:
        # One more pod than there are GPUs would wait for ever.
        assert rendered.workloads[service]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


@pytest.mark.parametrize(
    ("name", "policy", "on_disk"), [("redis", "allkeys-lru", "no"), ("store", "noeviction", "yes")]
)
def test_the_cache_may_go_and_jobs_stay(rendered: Rendered, name: str, policy: str, on_disk: str) -> None:
    (redis,) = containers(rendered.workloads[name])
    words = redis["args"][1:]
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert (options["--maxmemory-policy"], options["--appendonly"]) == (policy, on_disk)
    if "--maxmemory" in options:
        held, limit = int(options["--maxmemory"].removesuffix("mb")), redis["resources"]["limits"]["memory"]
        assert held < 1024 * int(limit.removesuffix("Gi"))


def test_stock_avatars_are_put_beside_those_of_users(tmp_path: Path) -> None:
    stock, volume = tmp_path / "stock", tmp_path / "volume"
    for folder, text in ((stock / "grace", "shipped"), (stock / "omar", "shipped"), (volume / "grace", "changed")):
        folder.mkdir(parents=True)
        (folder / "avatar.json").write_text(text, "utf-8")
    seeding, _ = containers(Rendered(KUBERNETES / "base").workloads["avatar"])
    assert seeding["volumeMounts"] == [{"name": "avatars", "mountPath": "/volume"}]
    *shell, script = seeding["command"]
    script = script.replace("/app/avatars", str(stock)).replace("/volume", str(volume))
    for _ in range(2):
        subprocess.run([*shell, script], check=True, env={"HOSTNAME": "avatar-0", "PATH": "/usr/bin:/bin"})
    assert (volume / "grace" / "avatar.json").read_text("utf-8") == "changed"
    assert (volume / "omar" / "avatar.json").read_text("utf-8") == "shipped"
    assert {path.name for path in volume.iterdir()} == {"grace", "omar"}


def test_keda_asks_the_redis_of_the_services_for_waiting_and_for_running_jobs(scaled: dict[str, Manifest]) -> None:
    measured = {
        (stream, measure)
        for stream in ("talkie:jobs:interactive", "talkie:jobs:batch")
        for measure in ("lagCount", "pendingEntriesCount")
    }
    for one in scaled.values():
        triggers = [trigger["metadata"] for trigger in one["spec"]["triggers"]]
        assert {(own["stream"], measure) for own in triggers for _, measure in measured if measure in own} == measured
        assert {own["consumerGroup"] for own in triggers} == {"workers"}
        assert {own["address"] for own in triggers} == {f"store.{one['metadata']['namespace']}.svc:6379"}


def test_what_is_scaled_is_there_and_leaves_the_number_of_pods_to_keda(scaled: dict[str, Manifest]) -> None:
    deployments = Rendered(KUBERNETES / "overlays" / "gpu-keda").of("Deployment")
    for name, one in scaled.items():
        assert one["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployments[name]["spec"]  # applying the manifests again would set it back
        assert one["spec"]["minReplicaCount"] == 1


@pytest.mark.parametrize(
    ("pending", "lag", "films"),
    [((0, 0), (0, 0), 0), ((1, 0), (1, 0), 2), ((1, 2), (0, 0), 3), ((0, 1), (3, 4), 8), ((2, 0), (-1, -1), 2)],
)
def test_there_is_room_for_every_job_in_hand_and_every_one_that_waits(
    scaled: dict[str, Manifest], pending: tuple[int, int], lag: tuple[int, int], films: int
) -> None:
    told = dict(
        zip(("pending_interactive", "pending_batch", "lag_interactive", "lag_batch"), (*pending, *lag), strict=True)
    )
    for one in scaled.values():
        formula = one["spec"]["advanced"]["scalingModifiers"]["formula"]
        names = {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}
        assert names == told.keys() | {"max"} == {trigger["name"] for trigger in one["spec"]["triggers"]} | {"max"}
        assert eval(formula, {"max": max}, dict(told)) == films
