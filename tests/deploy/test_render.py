"""The blueprints, key by key, against what Render takes (its skills repository and pages, August 2026)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.config import Settings, described

ROOT = Path(__file__).parents[2]
ONE, SCALED = "render.yaml", "deploy/render-scaled.yaml"
FILES = (ONE, SCALED)

ROOT_KEYS = set("services databases envVarGroups projects ungrouped previews".split())
SERVICE = set(
    "type name runtime region plan branch rootDir buildCommand startCommand preDeployCommand autoDeployTrigger "
    "healthCheckPath domains numInstances scaling disk buildFilter maxShutdownDelaySeconds dockerfilePath dockerContext "
    "dockerCommand registryCredential image envVars".split()
)
SCALING = set("minInstances maxInstances targetCPUPercent targetMemoryPercent".split())
DISK = set("name mountPath sizeGB".split())
DATABASE = set(
    "name plan postgresMajorVersion databaseName user region diskSizeGB storageAutoscalingEnabled highAvailability "
    "readReplicas ipAllowList".split()
)
SOURCES = set("value generateValue sync fromDatabase fromService fromGroup".split())
PROPERTIES = set("connectionString host port user password database".split())
TYPES = set("web pserv worker cron keyvalue redis".split())
RUNTIMES = set("docker image python node go ruby rust elixir static".split())
TRIGGERS = set("commit checksPass off".split())
NO_MOUNT = {"/", "/etc", "/etc/secrets", "/home", "/opt/render/project/src"}
SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "URL", "DSN")


def blueprint(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    return found


def variables(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variable with the place it stands in: a service, or a group."""
    said = blueprint(file)
    for service in said["services"]:
        yield from (("service", v) for v in service.get("envVars", ()))
    for group in said.get("envVarGroups", ()):
        yield from (("group", v) for v in group["envVars"])


def environment(file: str) -> dict[str, str]:
    """What the process gets, as far as the blueprint says it."""
    return {v["key"]: str(v["value"]) for _, v in variables(file) if "value" in v}


@pytest.mark.parametrize("file", FILES)
def test_every_key_is_one_that_render_takes(file: str) -> None:
    said = blueprint(file)
    assert set(said) <= ROOT_KEYS
    for service in said["services"]:
        assert set(service) <= SERVICE
        assert service["type"] in TYPES
        assert service["runtime"] in RUNTIMES
        assert service["autoDeployTrigger"] in TRIGGERS
        assert set(service.get("scaling", {})) <= SCALING
        assert set(service.get("disk", {})) <= DISK
        assert 1 <= service["maxShutdownDelaySeconds"] <= 300
        assert not ("healthCheckPath" in service and service["type"] != "web")
    for database in said.get("databases", ()):
        assert set(database) <= DATABASE
    for group in said.get("envVarGroups", ()):
        assert set(group) == {"name", "envVars"}


@pytest.mark.parametrize("file", FILES)
def test_every_variable_has_one_source_that_may_stand_there(file: str) -> None:
    groups = {g["name"] for g in blueprint(file).get("envVarGroups", ())}
    databases = {d["name"] for d in blueprint(file).get("databases", ())}
    for place, variable in variables(file):
        sources = set(variable) - {"key"}
        assert len(sources) == 1, variable
        assert sources <= SOURCES
        if place == "group":
            assert sources <= {"value", "generateValue"}
        if "fromGroup" in variable:
            assert variable["fromGroup"] in groups
            assert "key" not in variable
        else:
            assert variable["key"]
        if "fromDatabase" in variable:
            assert set(variable["fromDatabase"]) == {"name", "property"}
            assert variable["fromDatabase"]["name"] in databases
            assert variable["fromDatabase"]["property"] in PROPERTIES
        assert variable.get("sync", False) is False
        assert variable.get("generateValue", True) is True


@pytest.mark.parametrize("file", FILES)
def test_no_secret_has_a_value(file: str) -> None:
    for _, variable in variables(file):
        if variable.get("key", "").upper().endswith(SECRETS) and "value" in variable:
            assert str(variable["value"]).startswith("secret://"), variable["key"]


@pytest.mark.parametrize("file", FILES)
def test_what_it_sets_the_gateway_understands(file: str) -> None:
    ours = {k: v for k, v in environment(file).items() if k.startswith("INTERLOCK_")}
    settings = Settings.read(ours)
    assert settings.host == "0.0.0.0"  # noqa: S104 - a container's own network
    assert settings.grace < blueprint(file)["services"][0]["maxShutdownDelaySeconds"]
    named = {v.get("key") for _, v in variables(file)}
    for handle in (settings.store, settings.operator_token):
        if handle.startswith("secret://"):
            assert handle.removeprefix("secret://") in named
    assert {k for k in named if k and k.startswith("INTERLOCK_")} <= {key for key, _, _ in described()}


def test_a_disk_belongs_to_one_instance() -> None:
    (service,) = blueprint(ONE)["services"]
    assert service["numInstances"] == 1
    assert "scaling" not in service
    assert service["disk"]["mountPath"] not in NO_MOUNT
    assert environment(ONE)["INTERLOCK_STORE"] == f"sqlite:{service['disk']['mountPath']}"


def test_several_instances_share_a_database_that_the_internet_does_not_see() -> None:
    (service,) = blueprint(SCALED)["services"]
    (database,) = blueprint(SCALED)["databases"]
    assert service["scaling"]["minInstances"] > 1
    assert "disk" not in service
    assert database["ipAllowList"] == []
    assert database["region"] == service["region"]


@pytest.mark.parametrize("file", FILES)
def test_health_is_asked_where_no_store_is_asked(file: str) -> None:
    assert {s["healthCheckPath"] for s in blueprint(file)["services"]} == {"/healthz"}
