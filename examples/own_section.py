"""A section of your own: fail a batch that speaks too little of your languages.

python examples/own_section.py
"""

from __future__ import annotations

from collections.abc import Iterable

import tailguard
from tailguard.auditing import SECTIONS, Case
from tailguard.report.base import Finding


def language_section(case: Case) -> Iterable[Finding]:
    """A failing finding when the language the policy asks for is rarer than it demands."""
    wanted = case.policy.sections.get("language")
    if not wanted:
        return
    counts = case.batch.categories.counts["language"]
    share = counts.get(str(wanted["name"]), 0) / max(sum(counts.values()), 1)
    if share < float(str(wanted["at_least"])):
        yield Finding(
            section="language",
            title=f"Only {share:.0%} of the documents are in '{wanted['name']}'",
            severity="fail",
            detail=f"The policy asks for {wanted['at_least']:.0%}.",
            fix="Look for the rest of the batch.",
        )


def main() -> None:
    """Audit English documentation under a policy that asks for German."""
    SECTIONS.append(language_section)
    corpus = tailguard.open_corpus("builtin:python-docs")
    texts = [text for part in corpus.batches() for text in part.column("text").to_pylist()]
    policy = tailguard.Policy(sections={"language": {"name": "de", "at_least": 0.5}})
    verdict = tailguard.audit(texts[1::2], texts[::2], policy=policy)
    print(verdict.status, "by", verdict.rule)
    for finding in verdict.findings:
        print(f"{finding.severity}: {finding.title}")


if __name__ == "__main__":
    main()
