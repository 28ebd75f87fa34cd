#!/usr/bin/env python3
"""What packaging/lint asks about YAML that no other tool looks at. Each command prints what is wrong and fails, or prints what is asked for."""

import ipaddress
import json
import sys
import yaml


def documents(path):
    with open(path) as file:
        return [document for document in yaml.safe_load_all(file) if document]


def compose(schema, path):
    """A compose file by the schema of the specification."""
    import jsonschema

    with open(schema) as file:
        schema = json.load(file)
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(documents(path)[0])]


def references(path):
    """Services, networks, secrets, volumes and files that a compose file names are there; addresses lie in their networks."""
    import os

    whole, wrong = documents(path)[0], []
    services = whole["services"]
    base = os.path.dirname(path)
    for name, service in services.items():
        wrong += [f"{name} waits for {other}, which is no service" for other in service.get("depends_on", {}) if other not in services]
        for kind in ("networks", "secrets"):
            wrong += [f"{name} names {kind} {one}" for one in service.get(kind, []) if one not in whole[kind]]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = os.path.exists(os.path.join(base, source)) if source.startswith(".") else source in whole["volumes"]
            if not known:
                wrong.append(f"{name} mounts {source}, which is not there")
        networks = service.get("networks", {})
        for network, settings in networks.items() if isinstance(networks, dict) else []:
            address = (settings or {}).get("ipv4_address")
            subnet = whole["networks"][network]["ipam"]["config"][0]["subnet"]
            if address and ipaddress.ip_address(address) not in ipaddress.ip_network(subnet):
                wrong.append(f"{name} has the address {address}, which is not in {subnet}")
        if "image" not in service or service["image"].endswith(":latest"):
            wrong.append(f"{name} names no version of its image")
        if not service.get("restart"):
            wrong.append(f"{name} is not started again")
    return wrong


def panels(path):
    """The queries of a dashboard, as rules that promtool can check."""
    with open(path) as file:
        dashboard = json.load(file)
    rules = [
        {"record": f"panel:{panel['id']}:{target['refId']}", "expr": target["expr"].replace("$instance", ".*")}
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    ids = [panel["id"] for panel in dashboard["panels"]]
    return [f"two panels have the id {one}" for one in sorted(set(ids)) if ids.count(one) > 1]


def chart(path):
    """Selectors find the pods that they are for, ports have names that are there, mounts have volumes."""
    objects, wrong = documents(path), []
    pods = {item["metadata"]["name"]: item["spec"]["template"] for item in objects if item["kind"] in ("Deployment", "Job")}
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    if len(names) != len(objects):
        wrong.append("two objects have one name")

    def found(selector):
        labels = selector.get("matchLabels", selector)
        return [name for name, pod in pods.items() if labels.items() <= pod["metadata"]["labels"].items()]

    nodes = [item["metadata"]["name"] for item in objects if item["kind"] == "Deployment"]
    for item in objects:
        kind, name, spec = item["kind"], item["metadata"]["name"], item.get("spec", {})
        if kind in ("Deployment", "Service", "PodDisruptionBudget") and found(spec["selector"]) != nodes:
            wrong.append(f"{kind} {name} selects {found(spec['selector'])}, not the nodes alone")
        if kind == "NetworkPolicy" and sorted(found(spec["podSelector"])) != sorted(pods):
            wrong.append(f"{kind} {name} leaves out a pod")
        if kind == "Service":
            ports = [port["name"] for port in pods[nodes[0]]["spec"]["containers"][0]["ports"]]
            wrong += [f"Service {name} leads to {port['targetPort']}" for port in spec["ports"] if port["targetPort"] not in ports]
        if kind == "ServiceMonitor":
            services = [one for one in objects if one["kind"] == "Service" and spec["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()]
            if [one["metadata"]["name"] for one in services] != [nodes[0] + "-metrics"]:
                wrong.append("the ServiceMonitor does not select the service of the metrics alone")
        if kind in ("Deployment", "Job"):
            pod = spec["template"]["spec"]
            volumes = {volume["name"] for volume in pod["volumes"]}
            for container in pod["containers"]:
                security = container["securityContext"]
                wrong += [f"{name} mounts {mount['name']}" for mount in container["volumeMounts"] if mount["name"] not in volumes]
                if not (security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"] and not security["allowPrivilegeEscalation"]):
                    wrong.append(f"{name} may do more than it needs")
            if not pod["securityContext"]["runAsNonRoot"] or pod["automountServiceAccountToken"]:
                wrong.append(f"{name} runs as root, or holds a token of the cluster")
            for volume in pod["volumes"]:
                if "configMap" in volume and volume["name"] == "config" and ("ConfigMap", volume["configMap"]["name"]) not in names:
                    wrong.append(f"{name} has no configuration: {volume['configMap']['name']}")
        if kind == "Deployment":
            drains = tuple(int(part) for part in (_seconds(objects, "drain_delay"), _seconds(objects, "drain_timeout")))
            if spec["template"]["spec"]["terminationGracePeriodSeconds"] <= sum(drains):
                wrong.append(f"{name} is ended before it has drained")
    return wrong


def _seconds(objects, setting):
    text = next(item["data"]["regrant.toml"] for item in objects if item["kind"] == "ConfigMap" and "regrant.toml" in item["data"])
    line = next(line for line in text.splitlines() if line.startswith(setting))
    return line.split('"')[1].removesuffix("s")


def objects(version, path):
    """Objects by the schemas of a version of Kubernetes; those of other people's kinds are left out."""
    import kubernetes_validate

    wrong = []
    for item in documents(path):
        if item["apiVersion"].startswith("monitoring.coreos.com/"):
            continue
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            wrong.append(f"{item['kind']} {item['metadata']['name']}: {error.message}")
    return wrong


def settings(path):
    """The configuration that a chart makes, with the paths of its files left out of it: they are secrets of a cluster."""
    for item in documents(path):
        if item["kind"] == "ConfigMap" and "regrant.toml" in item["data"]:
            print(item["data"]["regrant.toml"])
            return []
    return ["no ConfigMap holds a regrant.toml"]


COMMANDS = {command.__name__: command for command in (compose, references, panels, chart, objects, settings)}
problems = COMMANDS[sys.argv[1]](*sys.argv[2:])
sys.exit("\n".join(problems) if problems else 0)
