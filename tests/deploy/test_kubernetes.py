"""The manifests build, and say what a farm needs: roles, grace, pools that follow the work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRETS = {
    "penumbra-ca", "penumbra-head-tls", "penumbra-redis-acl", "penumbra-worker", "penumbra-control", "penumbra-monitor",
    "penumbra-flower-logins", "penumbra-api-tokens", "penumbra-keda",
}  # fmt: skip

Documents = list[dict[str, Any]]


def built(place: Path) -> Documents:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(place)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in YAML(typ="safe").load_all(done.stdout) if each]


@pytest.fixture(scope="module")
def small() -> Documents:
    return built(DEPLOY / "k8s" / "overlays" / "small")


@pytest.fixture(scope="module")
def studio() -> Documents:
    return built(DEPLOY / "k8s" / "overlays" / "studio")


def of(documents: Documents, kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def pods(documents: Documents) -> dict[str, dict[str, Any]]:
    made = {**of(documents, "Deployment"), **of(documents, "StatefulSet")}
    return {name: each["spec"]["template"]["spec"] for name, each in made.items()}


def test_each_overlay_has_its_pool(small: Documents, studio: Documents) -> None:
    head = {"penumbra-redis", "penumbra-api", "penumbra-flower"}

    assert set(pods(small)) == {*head, "worker-cpu"} and not of(small, "ScaledObject")
    assert set(pods(studio)) == {*head, "worker-cuda"} and set(of(studio, "ScaledObject")) == {"worker-cuda"}


def test_no_pod_runs_as_root_or_writes_into_its_image(studio: Documents, small: Documents) -> None:
    for name, pod in {**pods(small), **pods(studio)}.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] and security["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"], name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"] and ":" in container["image"], name


def test_every_name_that_a_pod_refers_to_is_made_somewhere(studio: Documents) -> None:
    maps, claims = of(studio, "ConfigMap"), of(studio, "PersistentVolumeClaim")
    for name, pod in pods(studio).items():
        secrets = {entry["secretRef"]["name"] for each in pod["containers"] for entry in each.get("envFrom", ())}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            secrets |= {volume["secret"]["secretName"]} if "secret" in volume else set()
            assert "configMap" not in volume or volume["configMap"]["name"] in maps, name
            assert "persistentVolumeClaim" not in volume or volume["persistentVolumeClaim"]["claimName"] in claims, name
        assert secrets <= SECRETS, name
        mounts = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
        assert mounts <= {*volumes, "data"}, name


def test_workers_get_a_quarter_of_an_hour_and_their_role_alone(small: Documents, studio: Documents) -> None:
    for pod in (pods(small)["worker-cpu"], pods(studio)["worker-cuda"]):
        (worker,) = pod["containers"]
        assert pod["terminationGracePeriodSeconds"] == 900
        assert worker["envFrom"] == [{"secretRef": {"name": "penumbra-worker"}}]
        assert "--name=$(POD_NAME)" in worker["args"]


def test_the_gpu_pool_has_a_gpu_and_may_stand_on_gpu_nodes(studio: Documents) -> None:
    pod = pods(studio)["worker-cuda"]

    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_pool_is_scaled_by_queued_and_running_tasks_as_the_api_tells_them(studio: Documents) -> None:
    scaled = of(studio, "ScaledObject")["worker-cuda"]["spec"]
    (trigger,) = scaled["triggers"]
    auth = of(studio, "TriggerAuthentication")[trigger["authenticationRef"]["name"]]
    service = of(studio, "Service")["penumbra-api"]

    assert trigger["type"] == "metrics-api" and trigger["metadata"]["valueLocation"] == "cuda.tasks"
    port = service["spec"]["ports"][0]["port"]
    assert trigger["metadata"]["url"] == f"http://penumbra-api.penumbra.svc:{port}/v1/scaling"
    assert trigger["metadata"]["authMode"] == "bearer" and auth["spec"]["secretTargetRef"][0]["parameter"] == "token"
    assert scaled["scaleTargetRef"]["name"] in of(studio, "Deployment") and scaled["minReplicaCount"] == 1
    assert "replicas" not in of(studio, "Deployment")["worker-cuda"]["spec"]
    assert (
        scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"]
        >= 300
    )


def test_the_broker_is_found_under_the_name_in_its_certificate(small: Documents) -> None:
    assert of(small, "Service")["head"]["metadata"]["namespace"] == "penumbra"
    assert "credentials head.penumbra.svc head" in (DEPLOY / "k8s" / "secrets" / "kustomization.yaml").read_text()


def test_nobody_speaks_to_redis_but_who_has_a_role(small: Documents) -> None:
    policies = of(small, "NetworkPolicy")

    assert policies["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    (rule,) = policies["redis"]["spec"]["ingress"]
    (expression,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["penumbra-worker", "penumbra-api", "penumbra-flower"]


def test_secrets_build_from_what_the_set_up_makes(tmp_path: Path) -> None:
    place = tmp_path / "k8s"
    shutil.copytree(DEPLOY / "k8s" / "secrets", place / "secrets", ignore=shutil.ignore_patterns("credentials"))
    shutil.copytree(DEPLOY / "k8s" / "namespace", place / "namespace")
    made = place / "secrets" / "credentials"
    subprocess.run([DEPLOY / "credentials.sh", made, "head.penumbra.svc", "head"], check=True, capture_output=True)
    for name in ("tokens.json", "keda.token"):
        (made / "api" / name).write_text("{}")

    secrets = of(built(place / "secrets"), "Secret")

    assert set(secrets) == SECRETS
    assert set(secrets["penumbra-worker"]["data"]) == {"PIPELINE_BROKER_URL"}
    assert "ca.key" not in {key for secret in secrets.values() for key in secret["data"]}
