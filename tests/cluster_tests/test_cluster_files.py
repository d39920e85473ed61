"""Every cluster/*.yaml against Ray's own schema or KubeRay's resources, and docs/cluster.md's table of them.

A new kind of cluster needs its file and a row in that table; the tests here find it by themselves.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml

from tests.checkout import ROOT
from tests.cluster_tests.onprem import wait_until

CLUSTER = ROOT / "cluster"

# The fields of KubeRay's v1 resources (ray-operator/apis/ray/v1 of release 1.5), as far as a person would use them.
RAY_CLUSTER = {
    "headGroupSpec",
    "workerGroupSpecs",
    "rayVersion",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headServiceAnnotations",
    "gcsFaultToleranceOptions",
    "authOptions",
    "managedBy",
    "suspend",
}
HEAD_GROUP = {"serviceType", "headService", "enableIngress", "rayStartParams", "resources", "labels", "template"}
WORKER_GROUP = {
    "groupName",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "idleTimeoutSeconds",
    "numOfHosts",
    "rayStartParams",
    "resources",
    "labels",
    "template",
    "scaleStrategy",
    "suspend",
}
AUTOSCALER = {
    "resources",
    "image",
    "imagePullPolicy",
    "env",
    "envFrom",
    "volumeMounts",
    "securityContext",
    "idleTimeoutSeconds",
    "upscalingMode",
    "version",
}
RAY_JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "rayClusterSpec",
    "submitterPodTemplate",
    "metadata",
    "clusterSelector",
    "submitterConfig",
    "managedBy",
    "deletionStrategy",
    "entrypoint",
    "runtimeEnvYAML",
    "jobId",
    "submissionMode",
    "entrypointResources",
    "entrypointNumCpus",
    "entrypointNumGpus",
    "ttlSecondsAfterFinished",
    "shutdownAfterJobFinishes",
    "suspend",
}
CONTAINER = {"name", "image", "env", "ports", "resources", "volumeMounts"}


def read(name: str) -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    return described


NAMES = sorted(file.stem for file in CLUSTER.glob("*.yaml"))
KUBERAY = [name for name in NAMES if "apiVersion" in read(name)]
LAUNCHED = [name for name in NAMES if name not in KUBERAY]  # With Ray's own launcher, `ray up`.
CLOUDS = [name for name in LAUNCHED if read(name)["provider"]["type"] != "local"]


def test_every_kind_is_found() -> None:
    assert set(CLOUDS) >= {"aws", "gcp"}
    assert {"onprem", *CLOUDS} <= set(LAUNCHED)
    assert set(KUBERAY) >= {"kuberay-cluster", "kuberay-job"}


def test_the_table_of_the_docs_names_every_kind_and_how_it_comes_up() -> None:
    table = re.findall(
        r"^\| .+ \| `(cluster/\S+)` \| `(.+)` \|$", (ROOT / "docs" / "cluster.md").read_text(), re.MULTILINE
    )
    commands = {f"cluster/{name}.yaml": "ray up" if name in LAUNCHED else "kubectl apply" for name in NAMES}
    commands |= {f"cluster/{file.name}": f"sbatch cluster/{file.name} SWEEP.yaml …" for file in CLUSTER.glob("*.sh")}
    assert dict(table) == commands


@pytest.mark.parametrize(
    "file", sorted(f for f in CLUSTER.iterdir() if f.suffix in (".yaml", ".sh")), ids=lambda f: f.name
)
def test_a_file_begins_with_what_it_is_and_with_its_commands(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#!")]
    header = lines[
        : next(at for at, line in enumerate(lines) if not line.startswith("# ") and not line.startswith("#   "))
    ]
    assert re.match(r"# [A-Z]", header[0])
    if file.name.startswith("kuberay"):  # Its operator makes the token.
        assert any("docker build -f cluster/Dockerfile" in line for line in header)
    else:
        assert any("python -m cluster token" in line for line in header)
    assert any(f"cluster/{file.name}" in line for line in header)


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return found


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_accepts_the_file_as_it_is_and_after_its_own_completion(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    described = read(name)
    jsonschema.validate(described, schema())
    validate_config(prepare_config(described))


def test_the_schema_would_refuse_a_misspelt_key() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**read("onprem"), "worker_startup_commands": []}, schema())


@pytest.mark.parametrize("name", LAUNCHED)
def test_the_project_and_the_token_travel_and_nothing_else(name: str) -> None:
    """Note 14. Ray reads every file of a mount on each `ray up`, so not the whole checkout with its environment."""
    mounts = read(name)["file_mounts"]
    packages = {"search", "trainables", "cluster", "analysis"}
    assert {f"~/raretune/{package}" for package in packages} < set(mounts)
    assert set(mounts.values()) == packages | {"requirements.txt", "requirements-gpu.txt", "~/.ray/auth_token"}
    assert all((CLUSTER.parent / source).exists() for source in mounts.values() if not source.startswith("~"))


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_starts_with_a_token_and_with_its_dashboard_on_loopback(name: str) -> None:
    """Note 16."""
    described = read(name)
    head, worker = described["head_start_ray_commands"][-1], described["worker_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token" in command
        assert "RAY_AUTH_TOKEN=" not in command
    assert "chmod 600 ~/.ray/auth_token" in described["setup_commands"][0]


def test_on_premises_keeps_the_autoscaler_that_counts_right() -> None:
    """Note 17: the newer one takes the head for a worker that is running, and leaves one worker out."""
    assert "RAY_enable_autoscaler_v2=0 ray start --head" in read("onprem")["head_start_ray_commands"][-1]


@pytest.mark.parametrize("name", CLOUDS)
def test_cloud_workers_are_spot_gpus_that_come_from_nothing(name: str) -> None:
    kinds = read(name)["available_node_types"]
    assert kinds["gpu"]["resources"]["GPU"] >= 1
    assert kinds["gpu"]["min_workers"] == 0
    assert "spot" in json.dumps(kinds["gpu"]["node_config"]).lower()
    assert kinds["head"]["resources"]["CPU"] == 0


@pytest.mark.parametrize("name", KUBERAY)
def test_kuberay_knows_every_field(name: str) -> None:
    described = read(name)
    assert described["apiVersion"] == "ray.io/v1"
    spec = described["spec"]
    if described["kind"] == "RayJob":
        assert set(spec) <= RAY_JOB
        assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
        assert len(spec["submitterPodTemplate"]["spec"]["containers"]) == 1
        spec = spec["rayClusterSpec"]
    assert set(spec) <= RAY_CLUSTER
    assert set(spec.get("autoscalerOptions", {})) <= AUTOSCALER
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert set(groups[0]) <= HEAD_GROUP
    for group in groups[1:]:
        assert set(group) <= WORKER_GROUP
        assert {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= set(group)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups:
        # Numbers and booleans must be strings here, or the API server refuses the resource.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert set(container) <= CONTAINER
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("name", KUBERAY)
def test_every_pod_has_the_token_that_the_operator_makes(name: str) -> None:
    """It sets RAY_AUTH_MODE and RAY_AUTH_TOKEN in each container of Ray's, so none of them is set here."""
    spec = read(name)["spec"]
    assert spec.get("rayClusterSpec", spec)["authOptions"] == {"mode": "token"}
    pods = list(containers(read(name)))
    assert len(pods) >= 2
    assert not [entry for pod in pods for entry in pod["env"] if "AUTH" in entry["name"]]


# Names that nobody has: addresses for documentation (RFC 5737), made-up ids.
NOBODYS = re.compile(r"192\.0\.2\.\d+|0123456789|my-project|registry\.example\.org|us-w|claimName")


@pytest.mark.parametrize("name", NAMES)
def test_every_value_that_a_person_must_fill_in_is_marked(name: str) -> None:
    """In its line or in one of the three above it; where a value stands several times, at its first place."""
    lines = (CLUSTER / f"{name}.yaml").read_text().splitlines()
    seen = set()
    for at, line in enumerate(lines):
        if line.startswith("#"):
            continue
        for value in set(NOBODYS.findall(line)) - seen:
            seen.add(value)
            assert "HERE" in "".join(lines[max(0, at - 3) : at + 1]), line
    assert seen


def containers(described: Any) -> Any:
    """Every container anywhere in a resource."""
    if isinstance(described, dict):
        yield from described.get("containers", [])
        for value in described.values():
            yield from containers(value)
    elif isinstance(described, list):
        for value in described:
            yield from containers(value)


def test_the_versions_are_those_of_the_requirements() -> None:
    requirements = (CLUSTER.parent / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^(ray|tensorflow)(?:\[.*\])?==(\S+)$", requirements, re.MULTILINE))
    for name in KUBERAY:
        spec = read(name)["spec"]
        assert spec.get("rayClusterSpec", spec)["rayVersion"] == pinned["ray"]
    gpu = (CLUSTER.parent / "requirements-gpu.txt").read_text()
    assert "-r requirements.txt" in gpu and f"tensorflow[and-cuda]=={pinned['tensorflow']}" in gpu


def test_where_there_are_gpus_tensorflow_comes_with_cuda() -> None:
    """A node's driver alone is a GPU to Ray, and none to a TensorFlow without CUDA's libraries."""
    for name in CLOUDS:
        assert "-r ~/raretune/requirements-gpu.txt" in (CLUSTER / f"{name}.yaml").read_text()
    (line,) = [line for line in read("onprem")["setup_commands"] if "pip install" in line]
    for has_gpu, file in ((True, "requirements-gpu.txt"), (False, "requirements.txt")):
        probe = f"nvidia-smi() {{ :; }}; {line}" if has_gpu else line
        words = probe.replace("~/raretune-env/bin/python", "echo")
        said = subprocess.run(["/bin/bash", "-c", words], capture_output=True, text=True, env={"PATH": "/nowhere"})
        assert said.stdout.endswith(f"/raretune/{file}\n")
    assert "-r requirements-gpu.txt" in (CLUSTER / "slurm.sh").read_text()
    assert "ARG REQUIREMENTS=requirements-gpu.txt" in (CLUSTER / "Dockerfile").read_text()


def test_the_image_holds_all_packages_and_nothing_that_its_context_leaves_out() -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    sources = {word for words in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in words.split()}
    assert sources == {"search", "trainables", "cluster", "analysis", "requirements.txt", "requirements-gpu.txt"}
    context = (CLUSTER / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{source}" for source in sources} | {"*", "**/__pycache__"} == set(context)
    assert "FROM python:3.11-" in text and "WORKDIR /raretune" in text


def test_ray_is_installed_with_what_its_head_needs() -> None:
    """Note 15: without the `default` extra a head has neither dashboard nor jobs."""
    (line,) = re.findall(r"^ray\[.*$", (CLUSTER.parent / "requirements.txt").read_text(), re.MULTILINE)
    assert "default" in line


def test_the_slurm_script_parses_and_asks_for_a_sweep() -> None:
    script = CLUSTER / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: say which sweep")


def test_the_slurm_script_starts_every_node_and_then_the_sweep(tmp_path: Path) -> None:
    """With commands that only write down how they were called."""
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, body in {
        "scontrol": "printf 'n1\\nn2\\nn3\\n'",
        "srun": 'case "$*" in *hostname*) echo 10.0.0.1;; *) echo "$*" >> calls;; esac',
        "sleep": ":",
        "python": 'echo "python $*" >> calls',
    }.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-3]"}
    slurm |= {"SLURM_CPUS_PER_TASK": "8", "SLURM_GPUS_ON_NODE": "1", "PATH": "/usr/bin:/bin"}
    subprocess.run(["bash", str(CLUSTER / "slurm.sh"), "s.yaml", "--set", "trials=3"], check=True, env=slurm)
    expected = (
        "--nodelist=n1 ray start --head --node-ip-address=10.0.0.1 --port=20007",
        "--nodelist=n2,n3 ray start --address=10.0.0.1:20007",
        "doctor --address 10.0.0.1:20007 --nodes 3",
        "--nodelist=n1 python cluster/submit.py s.yaml --set trials=3",
    )
    # Ray runs in the background of the script, so its calls may be written down after the script's end.
    calls = tmp_path / "calls"
    assert wait_until(lambda: all(call in calls.read_text() for call in expected), 10), calls.read_text()
