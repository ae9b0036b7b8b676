# SPDX-License-Identifier: MIT OR Apache-2.0

"""Writes the JSON schema of a Kubernetes Job, with all referenced definitions and no unknown fields.

usage: kubernetes-schema.py kubernetes_validate-*.whl VERSION job.json
"""

import json
import sys
import zipfile

wheel, version, output = sys.argv[1:]
folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"
with zipfile.ZipFile(wheel) as files:
    text = files.read(f"{folder}/_definitions.json").decode()
schema = json.loads(text.replace('"/api/_definitions.json#', '"#'))
schema["$ref"] = "#/$defs/io.k8s.api.batch.v1.Job"
with open(output, "w") as file:
    json.dump(schema, file)
