"""Renders the part of Kustomize that deploy/kubernetes uses, where kubectl is not at hand.

Known: resources (files, folders), namespace, patches (strategic merge by path), configMapGenerator
from files with generatorOptions.labels and disableNameSuffixHash. Anything else is refused, so that
nothing is left out in silence.
"""

import yaml

KNOWN = {"apiVersion", "kind", "resources", "namespace", "patches", "configMapGenerator", "generatorOptions"}
CLUSTER_WIDE = {"Namespace"}
MERGE_KEY = "name"  # of the lists that our patches touch: containers, volumes


def merge(base, patch):
    """A strategic merge: maps by key, lists of named things by name, all else replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        merged = dict(base)
        for key, value in patch.items():
            merged[key] = merge(base[key], value) if key in base else value
        return merged
    if isinstance(base, list) and isinstance(patch, list) and all(MERGE_KEY in x for x in base + patch):
        named = {item[MERGE_KEY]: item for item in base}
        for item in patch:
            named[item[MERGE_KEY]] = merge(named.get(item[MERGE_KEY], {}), item)
        return list(named.values())
    return patch


def config_map(folder, generator, options):
    if not options.get("disableNameSuffixHash") or set(generator) != {"name", "files"}:
        raise ValueError(f"{folder}: a generator that this renderer does not know")
    metadata = {"name": generator["name"]}
    if options.get("labels"):
        metadata["labels"] = dict(options["labels"])
    data = {(folder / file).name: (folder / file).read_text() for file in generator["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def identity(resource):
    metadata = resource["metadata"]
    return resource["kind"], metadata["name"], metadata.get("namespace")


def patched(resources, patch):
    at = [i for i, r in enumerate(resources) if identity(r) == identity(patch)]
    if len(at) != 1:
        raise ValueError(f"a patch for {identity(patch)} fits {len(at)} resources")
    resources[at[0]] = merge(resources[at[0]], patch)


def render(folder):
    """The resources of a folder with a kustomization.yaml."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if set(plan) - KNOWN:
        raise ValueError(f"{folder}: {set(plan) - KNOWN} is not known here")
    resources = []
    for name in plan.get("resources", []):
        path = (folder / name).resolve()
        resources += render(path) if path.is_dir() else [r for r in yaml.safe_load_all(path.read_text()) if r]
    for generator in plan.get("configMapGenerator", []):
        resources.append(config_map(folder, generator, plan.get("generatorOptions", {})))
    for resource in resources:
        if plan.get("namespace") and resource["kind"] not in CLUSTER_WIDE:
            resource["metadata"]["namespace"] = plan["namespace"]
    for patch in plan.get("patches", []):
        patched(resources, yaml.safe_load((folder / patch["path"]).read_text()))
    return resources
