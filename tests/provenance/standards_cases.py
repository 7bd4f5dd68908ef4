"""Facts, graphs and documents that the tests of the standards share."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tailguard.corpus.base import EVIDENCE, KINDS
from tailguard.corpus.origin import IPTC
from tailguard.provenance.lineage.base import Claim, Graph
from tailguard.provenance.standards.base import clean_facts
from tailguard.provenance.standards.opt_out import signal

WORDS = (
    st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")),
        min_size=1,
        max_size=20,
    )
    .map(str.strip)
    .filter(bool)
)
"""Texts as people write them: any script, quotes and colons, no line breaks."""

NAMES = WORDS.filter(lambda name: not name.startswith(("unnamed", "original", "extended", "other")))
DATES = st.dates().map(str).filter(lambda date: date > "1000")

HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def facts(draw: st.DrawFn) -> dict[str, Any]:
    """Facts of one data set, any of them missing."""

    def maybe(strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy)

    found: dict[str, Any] = {
        "name": draw(NAMES),
        "kind": maybe(st.sampled_from(KINDS)),
        "evidence": maybe(st.sampled_from(EVIDENCE)),
        "generation": maybe(st.integers(0, 5)),
        "records": maybe(st.integers(0, 2**40)),
        "created": maybe(DATES),
        "captured": maybe(DATES),
        "digital_source_type": maybe(st.just(IPTC + "trainedAlgorithmicMedia")),
        "generators": maybe(st.lists(NAMES, max_size=3, unique=True)),
        "parents": maybe(st.lists(NAMES, max_size=3, unique=True)),
        "languages": maybe(st.lists(st.sampled_from(["en", "no", "zh"]), max_size=3, unique=True)),
        "digests": maybe(st.fixed_dictionaries({"sha256": HASHES})),
        "opt_out": maybe(st.just([signal("tdm-reservation", "1", "https://a.example/x")])),
    }  # fmt: skip
    for key in (
        "description",
        "version",
        "url",
        "publisher",
        "creator",
        "license",
        "source",
        "consent",
    ):
        found[key] = maybe(WORDS.filter(lambda text: ";" not in text and " AND " not in text))
    if found["publisher"] == "unknown":
        found["publisher"] = None
    return clean_facts(found)


def story() -> Graph:
    """Gold, a model on a plan of it, its samples, and a batch of both."""
    graph = Graph()
    gold = graph.add(
        "dataset",
        "gold 2021",
        digests=["sha256:" + "ab" * 32],
        records=1000,
        claims=[
            Claim("kind", "human", "audited", "test"),
            Claim("license", "cc-by-4.0", "declared", "test"),
            Claim("created", "2021-03-01", "declared", "test"),
        ],
    )
    plan = graph.add("plan", "plan-1")
    model = graph.add("model", "m@1", claims=[Claim("created", "2022-01-01", "declared", "test")])
    samples = graph.add(
        "dataset",
        'samples: é "quoted"',
        records=50,
        claims=[
            Claim("kind", "synthetic", "attested", "test"),
            Claim("generation", 1, "attested", "test"),
        ],
    )
    batch = graph.add("dataset", "batch", claims=[Claim("kind", "mixed", "declared", "test")])
    graph.link(plan, "derived-from", gold)
    graph.link(model, "trained-on", plan)
    graph.link(samples, "sampled-from", model)
    graph.link(batch, "derived-from", gold)
    graph.link(batch, "derived-from", samples)
    graph.link(batch, "sampled-from", graph.add("generator", "other@3"))
    return graph


def edges(graph: Graph) -> set[tuple[str, str, str]]:
    """Edges by the names of their ends."""
    return {
        (graph.nodes[e.child].name, e.relation, graph.nodes[e.parent].name) for e in graph.edges()
    }


def plain(data: bytes) -> Any:
    """JSON, or lines of it."""
    try:
        return json.loads(data)
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line]


LABEL = {"$": "clean", "lang": "en"}
SOFTWARE = {"$": "prov:SoftwareAgent", "type": "xsd:QName"}
RAW = {"namespace": "s3://b", "name": "raw"}
CARD = {
    "task": "lm",
    "datasets": [{"ref": "d"}, {"type": "dataset", "name": "inline set"}],
}
SLSA = {"resolvedDependencies": [{"name": "source", "digest": {"sha256": "ff" * 32}}], "x": 1}

FOREIGN: dict[str, bytes] = {
    name: json.dumps(document).encode()
    for name, document in {
        "prov": {
            "prefix": {"ex": "http://example.org/", "default": "http://example.org/d#"},
            "entity": {
                "ex:raw": {"prov:label": "raw web", "ex:size": {"$": "12", "type": "xsd:int"}},
                "ex:clean": [{"prov:label": LABEL}, {"ex:a": ["x", "y"]}],
            },
            "activity": {"ex:filter": {"prov:startTime": "2024-01-01T00:00:00"}},
            "used": {"_:u": {"prov:activity": "ex:filter", "prov:entity": "ex:raw"}},
            "wasGeneratedBy": {"_:g": {"prov:entity": "ex:clean", "prov:activity": "ex:filter"}},
            "agent": {"ex:llm": {"prov:type": SOFTWARE}},
            "bundle": {"ex:b": {"entity": {"ex:inner": {}}, "prefix": {"z": "http://z.org/"}}},
        },
        "openlineage": [
            {
                "eventType": "START",
                "eventTime": "2024-01-01T00:00:00Z",
                "producer": "urn:x",
                "run": {"runId": "r1", "facets": {"x": {"y": 1}}},
                "job": {"namespace": "n", "name": "j"},
                "inputs": [RAW | {"facets": {"own": {"z": [1]}}}],
            },
            {
                "eventType": "COMPLETE",
                "eventTime": "2024-01-01T01:00:00Z",
                "producer": "urn:x",
                "run": {"runId": "r1"},
                "job": {"namespace": "n", "name": "j"},
                "outputs": [{"namespace": "s3://b", "name": "clean", "outputFacets": {"q": {}}}],
            },
            {
                "eventType": "FAIL",
                "run": {"runId": "r2"},
                "outputs": [{"namespace": "n", "name": "bad"}],
                "inputs": [RAW],
            },
        ],
        "cyclonedx": {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 3,
            "x-unknown": {"a": 1},
            "metadata": {
                "component": {
                    "type": "machine-learning-model",
                    "bom-ref": "m",
                    "name": "net",
                    "version": "2",
                    "modelCard": {"modelParameters": CARD},
                }
            },
            "components": [
                {
                    "type": "data",
                    "bom-ref": "d",
                    "name": "corpus",
                    "licenses": [{"license": {"id": "MIT"}}],
                    "hashes": [{"alg": "SHA-256", "content": "cd" * 32}],
                    "data": [{"type": "dataset"}],
                    "properties": [{"name": "other", "value": "kept"}],
                },
                {"type": "library", "name": "numpy", "version": "2.0"},
            ],
            "dependencies": [{"ref": "m", "dependsOn": ["d", "somewhere-else"]}],
        },
        "in-toto": [
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": "built", "digest": {"sha256": "ee" * 32}}],
                "predicateType": "https://slsa.dev/provenance/v1",
                "predicate": {"buildDefinition": SLSA},
            },
            {
                "_type": "https://in-toto.io/Statement/v1",
                "predicateType": "https://other/v1",
                "subject": [{"name": "z", "digest": {"sha256": "00" * 32}}],
                "predicate": {"k": [1]},
            },
        ],
    }.items()
}
"""Documents that others could have written, with much that we have no words for."""
