"""Writes manifests.json: plugin manifests, good and bad, judged by the Python package jsonschema against
plugin-manifest/schema.json, which is checked to be a valid JSON Schema 2020-12 itself.

Run: pip install jsonschema; python manifests.py (made with jsonschema 4.26.0)
"""

import json
import pathlib

from jsonschema import Draft202012Validator

here = pathlib.Path(__file__).parent
schema_text = (here / "../../plugin-manifest/schema.json").read_text()
template_text = (here / "../../plugin-manifest/cinetomo.json.in").read_text()
schema = json.loads(schema_text)
Draft202012Validator.check_schema(schema)

filled = template_text
for placeholder, value in {"@VERSION@": "1.2.3", "@ABI@": "1", "@MACHINE@": "x86_64"}.items():
    filled = filled.replace(placeholder, value)
template = json.loads(filled)
required = {name: template[name] for name in schema["required"]}

cases = {"the template": template, "the required members alone": required}
cases |= {f"without {name}": {k: v for k, v in template.items() if k != name} for name in template}
changes = {
    "manifest_version": [2, 0, "1", None],
    "name": ["", 7, "another plugin"],
    "version": ["1.2", "v1.2.3", "1.2.x", "1..3", "1.2.3-rc.1+build", "", 1.2],
    "description": [3, ""],
    "license": [["MIT"], "MIT"],
    "platform": ["windows-x86_64", "linux-aarch64", "", 1],
    "library": [
        "",
        1,
        "/absolute/lib.so",
        {"linux-x86_64": "a.so"},
        {"linux-x86_64": "a.so", "linux-aarch64": "b.so"},
        {},
        {"linux-x86_64": ""},
        {"linux-x86_64": 1},
        {"windows-x86_64": "a.dll"},
        ["a.so"],
    ],
    "entry": ["", "1st", "get-api", "get_api", "_x9", "spaced name", None],
    "abi_versions": [[], [0], [-1], [1.5], ["1"], 1, [1, 2], [4294967295], [4294967296]],
    "extensions": [[], ["a.b/1"], ["a.b"], ["/1"], ["A/1"], ["a/b"], ["a/1/2"], ["a/"], "a/1", [1]],
    "requires": [{}, {"libtorch": 2}, {"libtorch": "2.13.0", "driver": "13"}, [], "libtorch"],
    "unknown_member": [{"is": "ignored"}],
}
for name, values in changes.items():
    for value in values:
        cases[f"{name} = {json.dumps(value)}"] = template | {name: value}
cases["a list"] = [template]

validator = Draft202012Validator(schema)
(here / "manifests.json").write_text(
    json.dumps(
        {
            "schema": schema_text,
            "template": template_text,
            "cases": [
                {"name": name, "manifest": manifest, "valid": validator.is_valid(manifest)}
                for name, manifest in cases.items()
            ],
        },
        indent=1,
    )
    + "\n"
)
