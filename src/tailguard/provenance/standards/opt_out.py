"""Opt-out signals, kept as they were captured: who said no to mining or training, where and how.

A signal is one line of JSON, ``{"signal", "value", "at", "captured"}``, with the value as received.
What a signal means is decided by :func:`denies`, and only when it is asked: the rules of the day
may change, what was captured does not.

==================  ==============================================================================
``robots``          robots.txt (RFC 9309): the group for a crawler, as ``agent: rule``
``x-robots-tag``    HTTP header X-Robots-Tag, with ``noai``, ``noimageai`` (a convention)
``meta-robots``     the same in HTML
``tdm-reservation`` TDM Reservation Protocol (W3C community group, 2024): 1 reserves the rights
``tdm-policy``      the policy's address, where one is given
``ai-txt``          ai.txt (Spawning): as robots.txt, for AI training
``c2pa``            C2PA/CAWG training and data mining assertion: ``entry=use``
==================  ==============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SIGNALS = (
    "robots", "x-robots-tag", "meta-robots", "tdm-reservation", "tdm-policy", "ai-txt", "c2pa",
)  # fmt: skip

AI_CRAWLERS = frozenset(
    ("gptbot", "ccbot", "google-extended", "anthropic-ai", "claudebot", "bytespider",
     "applebot-extended", "perplexitybot", "meta-externalagent", "amazonbot", "cohere-ai")
)  # fmt: skip
"""Crawlers that gather training data; a rule for one of these is a word on training."""

LONGEST_SIGNAL = 4_096


def signal(kind: str, value: str, at: str = "", captured: str = "") -> str:
    """One signal as a line of JSON, the value cut at 4,096 characters.

    >>> signal("tdm-reservation", "1", "https://example.org/a")
    '{"signal":"tdm-reservation","value":"1","at":"https://example.org/a"}'
    """
    parts = {"signal": kind, "value": value[:LONGEST_SIGNAL], "at": at, "captured": captured}
    told = {key: text for key, text in parts.items() if text or key == "value"}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def parse_signal(line: str) -> dict[str, str]:
    """A signal back; empty for a line that is none.

    >>> parse_signal(signal("c2pa", "c2pa.ai_training=notAllowed"))["value"]
    'c2pa.ai_training=notAllowed'
    """
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("signal") not in SIGNALS:
        return {}
    return {str(key): str(value) for key, value in found.items()}


def denies(line: str) -> bool | None:
    """Whether a signal says no to training: true, false, or none where it says neither.

    >>> denies(signal("tdm-reservation", "1")), denies(signal("tdm-reservation", "0"))
    (True, False)
    >>> denies(signal("robots", "gptbot: disallow /")), denies(signal("tdm-policy", "https://x"))
    (True, None)
    """
    found = parse_signal(line)
    value = found.get("value", "").strip().lower()
    match found.get("signal"):
        case "tdm-reservation":
            return {"1": True, "0": False}.get(value)
        case "x-robots-tag" | "meta-robots":
            words = {word.strip() for word in value.replace(":", ",").split(",")}
            return True if words & {"noai", "noimageai", "noml"} else None
        case "robots" | "ai-txt":
            _, _, rule = value.partition(":")
            verb, _, path = rule.strip().partition(" ")
            if path.strip() not in ("/", "/*"):
                return None
            return {"disallow": True, "allow": False}.get(verb)
        case "c2pa":
            entry, _, use = value.partition("=")
            trains = entry.rsplit(".", 1)[-1] in ("ai_training", "ai_generative_training")
            told = {"notallowed": True, "allowed": False}.get(use)
            return told if trains or entry.endswith("data_mining") else None
    return None


def robots_signals(text: str, at: str, captured: str = "", *, kind: str = "robots") -> list[str]:
    """What a robots.txt or ai.txt says to crawlers for training, and to all: one signal a rule.

    Groups are read as RFC 9309 says: rules belong to all user-agent lines right before them.

    >>> found = robots_signals("User-agent: GPTBot\\nUser-agent: x\\nDisallow: /", "https://a/")
    >>> [parse_signal(line)["value"] for line in found]
    ['gptbot: disallow /']
    """
    agents: list[str] = []
    ended = False
    found: list[str] = []
    for raw in text[: 512 << 10].splitlines():  # RFC 9309, 2.5: at least 500 KiB are read
        key, _, value = raw.split("#", 1)[0].partition(":")
        word, value = key.strip().lower(), value.strip()
        if word == "user-agent":
            agents = [*([] if ended else agents), value.lower()]
            ended = False
        elif word in ("disallow", "allow"):
            ended = True
            said = [a for a in agents if a in AI_CRAWLERS or a == "*"]
            # An empty Disallow allows everything.
            rule = f"{word} {value}" if value else "allow /" if word == "disallow" else ""
            found += [signal(kind, f"{agent}: {rule}", at, captured) for agent in said if rule]
    return list(dict.fromkeys(found))[:1_000]


def tdmrep_signals(document: Any, at: str, captured: str = "") -> list[str]:
    """What ``/.well-known/tdmrep.json`` says: one signal per location."""
    found: list[str] = []
    for entry in document[:1_000] if isinstance(document, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("location"), str):
            where = at.split("/.well-known/")[0] + entry["location"][:1_000]
            if "tdm-reservation" in entry:
                reserved = str(entry["tdm-reservation"])
                found.append(signal("tdm-reservation", reserved, where, captured))
            if isinstance(entry.get("tdm-policy"), str):
                found.append(signal("tdm-policy", entry["tdm-policy"], where, captured))
    return found


def c2pa_signals(manifest: Any, at: str = "", captured: str = "") -> list[str]:
    """The training-and-mining assertions of a C2PA manifest that was read as JSON."""
    found: list[str] = []
    assertions = manifest.get("assertions") if isinstance(manifest, Mapping) else None
    for assertion in assertions[:1_000] if isinstance(assertions, list) else []:
        if not isinstance(assertion, Mapping) or not isinstance(assertion.get("data"), Mapping):
            continue
        if not str(assertion.get("label", "")).endswith("training-mining"):
            continue
        entries = assertion["data"].get("entries")
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            use = entry.get("use") if isinstance(entry, Mapping) else None
            found.append(signal("c2pa", f"{name}={use}", at, captured))
    return found
