"""Single standards in detail: cards, summaries, alliances, opt-outs, source types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailguard.corpus.base import KINDS
from tailguard.corpus.origin import IPTC, KIND_OF_SOURCE_TYPE
from tailguard.provenance.standards import dpi, dta, hf_card
from tailguard.provenance.standards.opt_out import (
    c2pa_signals,
    denies,
    parse_signal,
    robots_signals,
    signal,
    tdmrep_signals,
)
from tailguard.provenance.standards.source_types import kind_of_source_type, source_type_of

CARD = """---
# who wrote this
license: cc-by-4.0   # checked
language:
- no
- en
pretty_name: Norsk tekst
language_creators:
- found
- machine-generated
source_datasets:
- original
- extended|other-nob-news
dataset_info:
  features:
  - name: text   # a comment inside
    dtype: string
# about tags
tags: [synthetic, "a: b"]
notes: |
  line one
  # not a comment
version: 1.10
---
# Norsk

---
text after a rule
"""


def test_a_card_is_read_without_resolving_anything() -> None:
    found = hf_card.facts(CARD)
    assert found["languages"] == ("no", "en")  # Norwegian, not false
    assert hf_card.front_matter(CARD)["version"] == "1.10"  # not 1.1
    assert (found["kind"], found["parents"]) == ("mixed", ("nob-news",))


def test_a_card_changes_only_in_the_lines_that_must() -> None:
    patched = hf_card.patch(CARD, hf_card.facts(CARD) | {"license": "mit", "generation": 1})
    before, after = CARD.splitlines(), patched.splitlines()
    assert [line for line in before if line not in after] == ["license: cc-by-4.0   # checked"]
    added = [line for line in after if line not in before]
    assert added == ["license: mit", "tailguard:", "  generation: 1"]


@pytest.mark.parametrize("key", ["notes", "dataset_info", "tags", "license", "version", "language"])
def test_any_key_of_a_card_can_be_replaced_and_the_rest_stays(key: str) -> None:
    replaced = hf_card._put(CARD, key, {"new": [1]})
    expected = hf_card.front_matter(CARD) | {key: {"new": ["1"]}}
    assert hf_card.front_matter(replaced) == expected
    assert replaced.endswith("# Norsk\n\n---\ntext after a rule\n")
    assert "# about tags" in replaced and "# who wrote this" in replaced


def test_a_text_without_front_matter_gets_one() -> None:
    assert hf_card.patch("Hello\n", {"license": "mit"}) == "---\nlicense: mit\n---\nHello\n"


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("---\na: &x [1]\nb: *x\n---\n", "alias"),
        ("---\na: [1\n---\n", "valid YAML"),
        ("---\n- a\n- b\n---\n", "keys and values"),
        ("---\na: 1\na: 2\n---\n", "each key once"),
        ("---\n" + "[" * 30 + "]" * 30 + "\n---\n", "levels"),
        ("---\n? [a]\n: b\n---\n", "keys that are texts"),
        ("---\na: " + "x" * (1 << 20) + "\n---\n", "characters"),
    ],
)
def test_a_hostile_card_is_refused_in_one_line(card: str, words: str) -> None:
    with pytest.raises(hf_card.StandardError, match=words) as refused:
        hf_card.facts(card)
    assert "\n" not in str(refused.value)


def test_tags_that_would_build_objects_are_only_texts() -> None:
    card = "---\nname: !!python/object/apply:os.system ['true']\n---\n"
    assert hf_card.front_matter(card) == {"name": ["true"]}


@pytest.mark.parametrize(
    ("front", "kind"),
    [
        ("language_creators: [expert-generated]", "human"),
        ("language_creators: [crowdsourced, found]", None),
        ("language_creators: [found]", None),
        ("annotations_creators: [machine-generated]\nlanguage_creators: [crowdsourced]", "mixed"),
        ("annotations_creators: [machine-generated]", "synthetic"),
        ("tags: [synthetic]", "mixed"),
        ("tailguard: {kind: human}\ntags: [synthetic]", "human"),
    ],
)
def test_what_a_card_says_of_its_makers_becomes_a_kind(front: str, kind: str | None) -> None:
    assert hf_card.facts(f"---\n{front}\n---\n").get("kind") == kind


SUMMARY: dict[str, Any] = {
    "Unique Dataset Identifier": "alpaca",
    "Dataset Name": "alpaca",
    "Model Generated": ["OpenAI GPT-3"],
    "Human Annotation": "No",
    "Languages": ["English"],
    "Licenses": [{"License": "CC BY-NC 4.0", "License URL": "u"}, {"License": "OpenAI"}],
    "Derived from Datasets": [],
    "Text Metrics": {"Num Dialogs": 52002},
}


def test_a_summary_of_the_initiative_names_models_and_licences() -> None:
    found = dpi.facts(SUMMARY)
    assert (found["kind"], found["generators"]) == ("synthetic", ("OpenAI GPT-3",))
    assert found["license"] == "CC BY-NC 4.0 AND OpenAI"
    assert dpi.facts(SUMMARY | {"Model Generated": []})["kind"] == "human"
    assert "kind" not in dpi.facts({"Unique Dataset Identifier": "x"})


def test_one_of_many_summaries_is_changed_and_the_others_stay() -> None:
    document = {"a": SUMMARY, "b": SUMMARY | {"Dataset Name": "other"}}
    read = dpi.read(json.dumps(document).encode())
    assert len(read.about) == 2
    read.graph.add("dataset", "other", records=9)
    written = json.loads(dpi.write(read.graph, read.graph.find("dataset:other")[0], document))
    assert written["a"] == SUMMARY and written["b"]["Tailguard"] == {"records": 9}


def test_methods_of_the_alliance_speak_only_where_they_say_synthetic() -> None:
    def kind(*codes: str) -> str | None:
        methods = [{"code": code} for code in codes]
        found = dta.facts({"provenance": {"generation-method": methods}})
        return found.get("kind")

    assert kind("Web scraping/crawling") is None
    assert kind("Synthetic") == "synthetic"
    assert kind("Synthetic", "Social media") == "mixed"


def test_a_new_document_of_the_alliance_has_every_required_field() -> None:
    document = dta.patch(dta.blank(), {"name": "a", "kind": "human", "description": "d"})
    assert {"version", "title", "id", "issuer", "description"} <= set(document["source"])
    assert {"origin-geography", "date", "generation-method"} <= set(document["provenance"])
    assert document["provenance"]["generation-method"][0]["code"] == "human"
    assert document["use"]["intended-purpose"][0].keys() == {"code", "description"}


def test_kinds_and_source_types_map_both_ways() -> None:
    for kind in KINDS:
        uri = source_type_of(kind)
        assert (uri is None) == (kind == "unknown")
        if uri is not None:
            assert kind_of_source_type(uri) == kind
    for code, kind in KIND_OF_SOURCE_TYPE.items():
        assert kind_of_source_type(IPTC + code) == kind_of_source_type(f"digsrctype:{code}") == kind
    assert kind_of_source_type("https://example.org/other") == "unknown"


ROBOTS = """
User-agent: GPTBot
User-agent: Googlebot   # not for training
Disallow: /private
Disallow: /

User-agent: *
Disallow:
Allow: /

Sitemap: https://a/s.xml
User-agent: CCBot
"""


def test_robots_rules_belong_to_all_agents_right_before_them() -> None:
    values = [
        parse_signal(line)["value"] for line in robots_signals(ROBOTS, "https://a/robots.txt")
    ]
    assert values == ["gptbot: disallow /private", "gptbot: disallow /", "*: allow /"]


@pytest.mark.parametrize(
    ("kind", "value", "no"),
    [
        ("tdm-reservation", "1", True),
        ("tdm-reservation", "0", False),
        ("tdm-reservation", "yes", None),
        ("x-robots-tag", "noindex, noai", True),
        ("x-robots-tag", "GPTBot: noai", True),
        ("x-robots-tag", "noindex", None),
        ("meta-robots", "noimageai", True),
        ("robots", "ccbot: disallow /", True),
        ("robots", "ccbot: disallow /a", None),
        ("robots", "*: allow /", False),
        ("ai-txt", "*: disallow /", True),
        ("c2pa", "c2pa.ai_generative_training=notAllowed", True),
        ("c2pa", "c2pa.ai_training=allowed", False),
        ("c2pa", "c2pa.ai_inference=notAllowed", None),
        ("tdm-policy", "https://x", None),
    ],
)
def test_a_signal_is_kept_as_captured_and_judged_only_when_asked(
    kind: str, value: str, no: bool | None
) -> None:
    line = signal(kind, value, "https://a/", "2024-01-01T00:00:00Z")
    assert parse_signal(line)["value"] == value
    assert denies(line) is no


def test_tdmrep_and_c2pa_documents_become_signals() -> None:
    document = [{"location": "/blog", "tdm-reservation": 1, "tdm-policy": "https://p"}, "junk"]
    found = tdmrep_signals(document, "https://a.org/.well-known/tdmrep.json")
    assert [parse_signal(line)["at"] for line in found] == 2 * ["https://a.org/blog"]
    entries = {"c2pa.ai_training": {"use": "notAllowed"}, "x": 1}
    manifest = {"assertions": [{"label": "cawg.training-mining", "data": {"entries": entries}}]}
    assert [denies(line) for line in c2pa_signals(manifest)] == [True, None]


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_signals(text: str) -> None:
    assert denies(text) in (True, False, None)
    for line in robots_signals(text, "https://a/"):
        assert parse_signal(line)
    assert tdmrep_signals(text, "") == [] and c2pa_signals(text) == []
