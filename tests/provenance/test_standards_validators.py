"""Other people's libraries take what is written here, and give back what was in it."""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from standards_cases import edges, facts, story

from tailguard.provenance.standards import croissant, cyclonedx, openlineage, prov_json
from tailguard.provenance.standards.base import facts_of

REQUIRED = {
    "description": "A test.",
    "url": "https://example.org/d",
    "version": "1.0.0",
    "license": "https://spdx.org/licenses/CC-BY-4.0.html",
}


def through_mlcroissant(document: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    mlc = pytest.importorskip("mlcroissant")
    logging.getLogger("absl").setLevel(logging.ERROR)
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(document))
    dataset = mlc.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors
    found: dict[str, Any] = dataset.metadata.to_json()
    return json.loads(json.dumps(found, default=str))  # type: ignore[no-any-return]


def unordered(found: dict[str, Any]) -> dict[str, Any]:
    return {k: sorted(v) if isinstance(v, tuple) else v for k, v in found.items()}


def test_croissant_is_valid_for_mlcroissant_and_every_term_comes_back(tmp_path: Path) -> None:
    graph = story()
    about = graph.find("dataset:batch")[0]
    wanted = facts_of(graph, about) | REQUIRED | {
        "created": "2024-05-06", "publisher": "Example", "creator": "Ann",
        "captured": "2024-05-01", "generation": 2, "records": 12, "languages": ("en", "no"),
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/composite",
        "opt_out": ('{"signal":"robots","value":"*: disallow /"}',), "source": "https://example.org",
        "digests": {"sha256": "ab" * 32}, "consent": "https://example.org/consent",
    }  # fmt: skip
    document = croissant.patch(croissant.blank(), wanted)
    back = through_mlcroissant(document, tmp_path)
    found = croissant.facts(back)
    found["created"] = found["created"][:10]  # mlcroissant makes a moment of a date
    assert unordered(found) == unordered(wanted)
    assert back["conformsTo"] == croissant.CONFORMS_TO
    # And once more: what came back is a document like any other.
    assert unordered(croissant.facts(through_mlcroissant(back, tmp_path)))["kind"] == "mixed"


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(facts())
def test_our_terms_survive_mlcroissant_whatever_they_hold(tmp_path: Path, some: Any) -> None:
    wanted = some | REQUIRED
    back = croissant.facts(
        through_mlcroissant(croissant.patch(croissant.blank(), wanted), tmp_path)
    )
    for key in ("kind", "evidence", "generation", "records", "captured", "opt_out", "digests"):
        assert back.get(key) == wanted.get(key), key
    for key in ("parents", "generators"):
        assert set(back.get(key, ())) == set(wanted.get(key, ())), key


def test_generation_zero_survives_mlcroissant_which_drops_the_number_zero(tmp_path: Path) -> None:
    wanted = {"name": "a", "kind": "human", "generation": 0, "records": 0} | REQUIRED
    back = through_mlcroissant(croissant.patch(croissant.blank(), wanted), tmp_path)
    found = croissant.facts(back)
    assert (found["generation"], found["records"], found["kind"]) == (0, 0, "human")


def test_a_document_of_mlcommons_keeps_its_record_sets(tmp_path: Path) -> None:
    document = croissant.blank() | {
        "name": "foreign",
        "description": "d",
        "license": "MIT",
        "url": "https://example.org",
        "distribution": [
            {"@type": "cr:FileObject", "@id": "f.csv", "name": "f.csv", "contentUrl": "f.csv",
             "encodingFormat": "text/csv", "sha256": "ab" * 32}
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "r", "name": "r", "field": [
                {"@type": "cr:Field", "@id": "r/t", "name": "t", "dataType": "sc:Text",
                 "source": {"fileObject": {"@id": "f.csv"}, "extract": {"column": "t"}}}]}
        ],
    }  # fmt: skip
    patched = croissant.patch(document, croissant.facts(document) | {"kind": "human"})
    back = through_mlcroissant(patched, tmp_path)
    assert back["recordSet"][0]["field"][0]["@id"] == "r/t"
    assert croissant.facts(back)["kind"] == "human"


def test_contexts_are_never_fetched() -> None:
    document = {
        "@context": "https://example.invalid/context.jsonld",
        "@type": "sc:Dataset",
        "name": "a",
    }
    patched = croissant.patch(document, {"kind": "human", "evidence": "declared", "name": "a"})
    assert patched["@context"][0] == "https://example.invalid/context.jsonld"
    assert croissant.facts(patched)["kind"] == "human"


def test_prov_json_is_read_by_prov_with_all_derivations() -> None:
    model = pytest.importorskip("prov.model")
    data = prov_json.write(story())
    document = model.ProvDocument.deserialize(content=data.decode(), format="json")
    derivations = list(document.get_records(model.ProvDerivation))
    assert len(derivations) == len(edges(story()))
    assert len(list(document.get_records(model.ProvEntity))) == len(story().nodes)
    again = document.serialize(format="json")
    assert edges(prov_json.read(again.encode()).graph) == edges(story())


def test_prov_json_of_prov_itself_survives() -> None:
    model = pytest.importorskip("prov.model")
    made = model.ProvDocument()
    made.add_namespace("ex", "http://example.org/")
    raw, clean = made.entity("ex:raw"), made.entity("ex:clean", {"ex:rows": 5})
    work = made.activity("ex:work")
    made.used(work, raw)
    made.wasGeneratedBy(clean, work)
    robot = made.agent("ex:bot", {"prov:type": model.PROV["SoftwareAgent"]})
    made.wasAssociatedWith(work, robot)
    data = made.serialize(format="json").encode()
    read = prov_json.read(data)
    assert edges(read.graph) == {
        ("ex:clean", "derived-from", "ex:raw"),
        ("ex:clean", "sampled-from", "ex:bot"),
    }
    written = prov_json.write(read.graph, "", read.document)
    assert model.ProvDocument.deserialize(content=written.decode(), format="json") == made


@pytest.mark.parametrize("version", ["1.7", "1.6"])
def test_cyclonedx_is_valid_under_its_own_schema(version: str) -> None:
    pytest.importorskip("cyclonedx")
    res = Path(importlib.import_module("cyclonedx.schema").__file__ or "").parent / "_res"
    schemas = {
        name: json.loads((res / f"{name}.SNAPSHOT.schema.json").read_text())
        for name in ("spdx", "jsf-0.82", "cryptography-defs", f"bom-{version}")
        if (res / f"{name}.SNAPSHOT.schema.json").exists()
    }
    from referencing import Registry, Resource

    registry: Any = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()]
    )
    whole = schemas[f"bom-{version}"]
    validator = jsonschema.Draft7Validator(whole, registry=registry)
    base = cyclonedx.blank() | {"specVersion": version}
    document = json.loads(cyclonedx.write(story(), "", base))
    assert document["specVersion"] == version
    problems = [error.message for error in validator.iter_errors(document)]
    assert not problems
    assert list(validator.iter_errors(document | {"components": [{"type": "nonsense"}]}))


def test_openlineage_events_are_taken_by_its_client() -> None:
    events = pytest.importorskip("openlineage.client.event_v2")
    written = json.loads(openlineage.write(story(), at="2024-01-01T00:00:00Z"))
    runs = [event for event in written if "run" in event]
    assert len(runs) == 4  # the plan, the model, the samples, the batch
    for event in runs:
        made = events.RunEvent(
            eventType=events.RunState[event["eventType"]],
            eventTime=event["eventTime"],
            producer=event["producer"],
            run=events.Run(runId=event["run"]["runId"]),
            job=events.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
            inputs=[events.InputDataset(i["namespace"], i["name"]) for i in event["inputs"]],
            outputs=[events.OutputDataset(o["namespace"], o["name"]) for o in event["outputs"]],
        )
        assert made.schemaURL == event["schemaURL"]
        for dataset in event["inputs"] + event["outputs"]:
            for facet in dataset["facets"].values():
                assert {"_producer", "_schemaURL"} <= set(facet)


def test_the_same_lineage_is_the_same_run() -> None:
    first, second = (
        json.loads(openlineage.write(story(), at="2024-01-01T00:00:00Z")) for _ in range(2)
    )
    assert first == second
