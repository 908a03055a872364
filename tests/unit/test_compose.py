"""compose.yaml, the images, and what the services' settings say, held against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices

from services.avatar.settings import AvatarSettings
from services.chassis.settings import ServiceSettings
from services.gateway.settings import GatewaySettings
from services.tts.settings import TtsSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PROFILES = {"cpu": "", "gpu": "-gpu"}
SPEECH = {"speech": "", "speech-gpu": "-gpu"}
SETTINGS: dict[str, type[ServiceSettings]] = {
    "tts": TtsSettings,
    "avatar": AvatarSettings,
    "gateway": GatewaySettings,
}


def dockerfile(service: str) -> str:
    return (ROOT / "services" / service / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_starts_three_services_a_worker_and_redis(profile: str) -> None:
    started = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    assert started == {name + PROFILES[profile] for name in (*SETTINGS, "worker")} | {"redis", "store"}


@pytest.mark.parametrize("profile", SPEECH)
def test_a_profile_for_speech_starts_nothing_that_makes_films_and_waits_for_nothing_else(profile: str) -> None:
    started = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    assert started == {name + SPEECH[profile] for name in ("tts", "gateway")} | {"redis", "store"}
    for name in started:
        waits_for = SERVICES[name].get("depends_on", {})
        assert {other for other, how in waits_for.items() if how.get("required", True)} <= started


@pytest.mark.parametrize("waiting", ["gateway", "worker"])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_gateway_and_its_workers_wait_for_the_others_of_their_profile(profile: str, waiting: str) -> None:
    suffix = PROFILES[profile]
    waits_for = SERVICES[waiting + suffix]["depends_on"]
    assert set(waits_for) == {"redis", "store", "tts" + suffix, "avatar" + suffix}
    assert all(other["condition"] == "service_healthy" for other in waits_for.values())


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_goes_by_one_name_and_one_image_in_both_profiles(service: str) -> None:
    plain, gpu = SERVICES[service], SERVICES[service + "-gpu"]
    if gpu["build"] == plain["build"]:
        assert gpu["image"] == plain["image"]
    else:
        assert gpu["build"]["dockerfile"] == plain["build"]["dockerfile"]
        assert gpu["image"] == plain["image"] + "-gpu"  # an image with other engines has another name
    assert (ROOT / plain["build"]["dockerfile"]).is_file()
    if service != "gateway":
        assert plain["networks"]["default"]["aliases"] == gpu["networks"]["default"]["aliases"] == [service]


@pytest.mark.parametrize("service", ["tts", "avatar"])
def test_the_gateway_asks_where_the_others_listen(service: str) -> None:
    port = SETTINGS[service].model_fields["port"].default
    assert SERVICES["gateway"]["environment"][f"GATEWAY_{service.upper()}_URL"] == f"http://{service}:{port}"
    assert f"EXPOSE {port}\n" in dockerfile(service)
    assert f"{service.upper()}_PORT={port}" in dockerfile(service)


@pytest.mark.parametrize(("service", "variable"), [("tts-gpu", "TTS_GPU"), ("avatar-gpu", "AVATAR_GPU")])
def test_a_gpu_is_chosen_for_each_service_by_itself(service: str, variable: str) -> None:
    (device,) = SERVICES[service]["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"][0].startswith(f"${{{variable}:-")
    assert len(device["device_ids"]) == 1
    assert "gpu" in device["capabilities"]
    assert "count" not in device


@pytest.mark.parametrize("suffix", PROFILES.values())
def test_a_worker_is_a_gateway_that_nobody_talks_to(suffix: str) -> None:
    gateway, worker = SERVICES["gateway" + suffix], SERVICES["worker" + suffix]
    for shared in ("image", "build", "environment", "volumes"):
        assert worker[shared] == gateway[shared]
    assert worker["environment"]["GATEWAY_JOBS_INSIDE"] == "false"
    assert not worker["ports"]
    assert worker["healthcheck"]["test"] == ["CMD", *worker["command"], "--check"]
    assert (ROOT / Path(*worker["command"][-1].split(".")).with_suffix(".py")).is_file()


@pytest.mark.parametrize(
    ("service", "policy", "on_disk"), [("redis", "allkeys-lru", "no"), ("store", "noeviction", "yes")]
)
def test_the_cache_may_go_and_jobs_stay(service: str, policy: str, on_disk: str) -> None:
    command = SERVICES[service]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == policy
    assert command[command.index("--appendonly") + 1] == on_disk


@pytest.mark.parametrize("service", SETTINGS)
def test_what_a_service_writes_is_its_own_in_its_image(service: str) -> None:
    text = dockerfile(service)
    owned = set(re.search(r"chown (?:-R )?talkie ([\w ]+)", text)[1].split())  # type: ignore[index]
    mounted = {
        volume.split(":")[1].removeprefix("/app/") for volume in SERVICES[service]["volumes"] if volume[0] != "."
    }
    assert mounted | {"cache"} <= owned


def test_no_gpu_is_asked_for_without_the_profile() -> None:
    assert not [name for name, service in SERVICES.items() if "deploy" in service and "gpu" not in service["profiles"]]


@pytest.mark.parametrize("service", SETTINGS)
def test_an_image_holds_its_own_service_and_list_only(service: str) -> None:
    text = dockerfile(service)
    copied = set(re.findall(r"COPY services/(\w+)", text)) - {"__init__"}
    assert copied == {"chassis", "contract", service}
    assert "pyproject.toml" not in text


@pytest.mark.parametrize("service", SETTINGS)
def test_an_image_runs_as_nobody_special_and_says_when_it_is_ready(service: str) -> None:
    instructions = [line.split(maxsplit=1) for line in dockerfile(service).splitlines() if re.match("[A-Z]+ ", line)]
    users = [rest for name, rest in instructions if name == "USER"]
    assert users
    assert users[-1] != "root"
    assert f"{SETTINGS[service].model_fields['port'].default}/health/ready" in dockerfile(service)
    assert instructions[-1] == ["CMD", f'["python", "-m", "services.{service}"]']


@pytest.mark.parametrize("service", [*SETTINGS, "tts-gpu", "avatar-gpu", "gateway-gpu"])
def test_settings_reach_a_service_but_not_its_address(service: str) -> None:
    files = [file["path"] for file in SERVICES[service]["env_file"]]
    assert files == [".env"]
    name = service.removesuffix("-gpu")
    environment = SERVICES[service]["environment"]
    assert environment[f"{name.upper()}_HOST"] == "0.0.0.0"
    assert environment[f"{name.upper()}_PORT"] == SETTINGS[name].model_fields["port"].default


@pytest.mark.parametrize("service", [*SETTINGS, "tts-gpu", "avatar-gpu", "gateway-gpu"])
def test_a_service_is_given_the_time_to_finish_its_work(service: str) -> None:
    grace_s = int(SERVICES[service]["stop_grace_period"].removesuffix("s"))
    assert grace_s > ServiceSettings.model_fields["drain_s"].default


def test_what_the_example_of_env_names_is_read_by_a_service_and_its_last_part_by_compose() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    of_services, of_compose = (
        set(re.findall(r"^# ([A-Z0-9_]+)=", part, re.MULTILINE)) for part in text.split("# Of docker compose alone\n")
    )
    assert of_services
    assert of_services <= {name for prefix, kind in SETTINGS.items() for name in variables(prefix, kind)}
    asked = set(re.findall(r"\$\{(\w+):-", (ROOT / "compose.yaml").read_text("utf-8")))
    assert of_compose <= asked <= of_compose | of_services


@pytest.mark.parametrize("service", SETTINGS)
def test_what_the_example_says_of_the_cache_goes_for_every_service(service: str) -> None:
    named = re.findall(r"^# TTS_(CACHE_\w+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    own, *shared = named
    assert len(shared) == 4
    read = set(variables(service, SETTINGS[service]))
    assert {f"{service}_{name}".upper() for name in shared} <= read
    assert f"{service}_{own if service == 'tts' else 'CACHE_MEMORY_MB'}".upper() in read


def variables(prefix: str, settings: type[ServiceSettings]) -> Iterator[str]:
    """Yield the names of the environment that `settings` reads."""
    for name, field in settings.model_fields.items():
        if field.validation_alias is None:
            yield f"{prefix}_{name}".upper()
        elif isinstance(field.validation_alias, AliasChoices):
            yield from (str(alias) for alias in field.validation_alias.choices)
        elif isinstance(field.validation_alias, str):
            yield field.validation_alias
