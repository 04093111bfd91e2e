"""kubernetes.py ROOT PROGRAM: the manifests of docs/deploy are YAML whose parts fit together and whose container is fenced
in, and the program takes the options that they give it. No schema of Kubernetes is at hand in Debian."""

import subprocess
import sys

try:
    import yaml
except ImportError:
    print("skipped: python3 has no yaml")
    sys.exit(0)

root, program = sys.argv[1:]


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, which YAML forbids and PyYAML takes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


# Every field that the manifests have, by the object it may stand in (kubectl explain): a name that is misspelt is found.
FIELDS = {
    "Deployment": "apiVersion kind metadata spec",
    "Deployment.spec": "replicas selector strategy template",
    "Deployment.spec.template": "metadata spec",
    "Deployment.spec.template.spec": "automountServiceAccountToken terminationGracePeriodSeconds securityContext containers "
                                     "volumes",
    "Service.spec": "clusterIP selector ports",
    "PodDisruptionBudget.spec": "maxUnavailable selector",
    "container": "name image args ports securityContext resources startupProbe readinessProbe livenessProbe lifecycle "
                 "volumeMounts",
    "probe": "httpGet periodSeconds timeoutSeconds failureThreshold",
}


def check_fields(kind, thing):
    unknown = set(thing) - set(FIELDS[kind].split())
    assert not unknown, f"{kind} has no {unknown}"


with open(f"{root}/docs/deploy/kubernetes.yaml") as text:
    objects = {thing["kind"]: thing for thing in yaml.load_all(text, Loader)}
versions = {kind: thing["apiVersion"] for kind, thing in objects.items()}
assert versions == {"Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1"}, versions
deployment, service, budget = (objects[kind]["spec"] for kind in ("Deployment", "Service", "PodDisruptionBudget"))
template = deployment["template"]
pod = template["spec"]
(container,) = pod["containers"]
check_fields("Deployment", objects["Deployment"])
check_fields("Deployment.spec", deployment)
check_fields("Deployment.spec.template", template)
check_fields("Deployment.spec.template.spec", pod)
check_fields("Service.spec", service)
check_fields("PodDisruptionBudget.spec", budget)
check_fields("container", container)

labels = template["metadata"]["labels"]
for selector in (deployment["selector"]["matchLabels"], service["selector"], budget["selector"]["matchLabels"]):
    assert selector.items() <= labels.items(), (selector, labels)
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
assert service["ports"][0]["targetPort"] in ports
for name in ("startupProbe", "readinessProbe", "livenessProbe"):
    check_fields("probe", container[name])
    assert container[name]["httpGet"] == {"path": "/health", "port": "http"}, container[name]
assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}

assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"]}}
assert ":" in container["image"] and not container["image"].endswith(":latest")

arguments = container["args"]
assert all(isinstance(argument, str) for argument in arguments), arguments
assert arguments[0] == "serve" and int(arguments[arguments.index("--port") + 1]) == ports["http"]
key = arguments[arguments.index("--api-key-file") + 1]
assert any(key.startswith(mount["mountPath"] + "/") for mount in container["volumeMounts"]), key
pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
grace_s = int(arguments[arguments.index("--grace") + 1])
assert pause_s + grace_s < pod["terminationGracePeriodSeconds"]

# It takes every option, and stops at the keys, which are not here.
finished = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240)
assert finished.returncode == 1 and key in finished.stderr, finished
