"""Zero-shot detectors: criteria of one or two causal language models in local folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tailguard.detect.base import DetectorError
from tailguard.detect.canonical import Window
from tailguard.detect.detectors.base import Labels
from tailguard.detect.neural import criteria
from tailguard.detect.neural.base import NeuralDetector, Opened, digest_of, path_of
from tailguard.detect.neural.criteria import Criterion, TokenStatistics
from tailguard.detect.neural.encoding import Encoded, padded
from tailguard.detect.neural.folder import library, open_model, open_tokenizer, verify_folder
from tailguard.detect.neural.running import embedded, forward, not_finite, padding, positions
from tailguard.measure.base import Floats, Ints
from tailguard.measure.store import Arrays, demand

_AT_ONCE = 1 << 24
"""Numbers of a text's logits that are worked on at once: some 64 MiB for each array."""


def token_statistics(scoring: Any, reference: Any, targets: Any) -> TokenStatistics:
    """Statistics of n tokens from logits of both models, torch tensors (n, V), and ids (n,).

    Row i of the logits is the models' prediction of token i. Both may be one tensor. Where q is
    zero a token adds nothing to mean and variance, even where ln p is -infinity. Computed in 32-bit
    floats, a block of rows at a time.
    """
    step = max(_AT_ONCE // max(int(scoring.shape[-1]), 1), 1)
    parts = [np.zeros((4, 0))]
    for begin in range(0, len(targets), step):
        rows = slice(begin, begin + step)
        log_p = scoring[rows].float().log_softmax(-1)
        own = log_p.gather(-1, targets[rows, None])
        rank = (log_p > own).sum(-1) + 1
        q = (log_p if reference is scoring else reference[rows].float().log_softmax(-1)).exp()
        log_p = log_p.masked_fill(q == 0, 0.0)
        mean = (q * log_p).sum(-1)
        # About the mean, because the difference of two large sums loses what is small.
        variance = (q * (log_p - mean[:, None]).square()).sum(-1)
        found = (own[:, 0].double(), rank.double().log(), mean.double(), variance.double())
        parts.append(np.stack([values.cpu().numpy() for values in found]))
    return TokenStatistics(*np.concatenate(parts, axis=1))


@dataclass
class CausalDetector(NeuralDetector):
    """A criterion of a causal language model; the kinds below say which.

    Scored are the text's own tokens that have a token before them: all but the first, and the first
    too where the tokenizer puts a special token before it. A text without such tokens scores nan.
    """

    criterion: ClassVar[Criterion]

    def _open(self) -> Opened:
        tokenizer = open_tokenizer(self.folder)
        model = self._causal(self.folder, tokenizer)
        rows = embedded(model, self.folder, tokenizer)
        limit = positions(model, self.max_tokens)
        # What pads on the right is never seen by a causal model: any id serves.
        return Opened(tokenizer, (model,), limit, _width(model, rows), padding(model, rows) or 0)

    def _causal(self, folder: str, tokenizer: Any) -> Any:
        """The model of a folder, which must not look ahead."""
        model = open_model(folder, "causal language model", self.device)
        rows = embedded(model, folder, tokenizer)
        ids = np.array([[0, 1 % rows, 0], [0, 1 % rows, 1 % rows]], np.int64)
        logits = forward(model, ids, np.ones_like(ids), folder)[:, :2].float()
        if not bool(library("torch").isfinite(logits).all()):
            raise not_finite(folder)
        if float((logits[0] - logits[1]).abs().max()) > 1e-5 * float(logits.abs().max()):
            got = "one that sees the token it predicts"
            raise DetectorError(folder, "a causal language model", got, "use a decoder")
        return model

    def _scorable(self, encoded: Encoded) -> Labels:
        return np.array([bool(own[1:].any()) for own in encoded.own], bool)

    def _batch(self, opened: Opened, encoded: Encoded, rows: Ints) -> Floats:
        torch = library("torch")
        ids, mask = padded(encoded, rows, opened.pad or 0)
        logits = [forward(model, ids, mask, self.folder) for model in opened.models]
        # Vocabularies may be padded to different widths: the names of the tokens are the same.
        width = min(int(found.shape[-1]) for found in logits)
        out = np.full(len(rows), np.nan)
        for at, row in enumerate(rows.tolist()):
            wanted = np.flatnonzero(encoded.own[row][1:])
            places = torch.from_numpy(wanted).to(logits[0].device)
            targets = torch.from_numpy(encoded.ids[row][1:][wanted]).to(logits[0].device)
            taken = [found[at].index_select(0, places)[:, :width] for found in logits]
            tokens = token_statistics(taken[0], taken[-1], targets)
            sums = tokens.log_p.sum() + tokens.mean.sum() + tokens.variance.sum()
            if not np.isfinite(sums):
                raise not_finite(self.folder)
            out[at] = type(self).criterion(tokens)
        return out


def _width(model: Any, rows: int) -> int:
    head = model.get_output_embeddings()
    return rows if head is None else int(head.weight.shape[0])


@dataclass
class LikelihoodDetector(CausalDetector):
    """Mean log-likelihood of a text: :func:`tailguard.detect.neural.criteria.likelihood`."""

    kind: ClassVar[str] = "likelihood"
    criterion: ClassVar[Criterion] = staticmethod(criteria.likelihood)


@dataclass
class LogRankDetector(CausalDetector):
    """Negative mean log-rank of a text: :func:`tailguard.detect.neural.criteria.log_rank`."""

    kind: ClassVar[str] = "log-rank"
    criterion: ClassVar[Criterion] = staticmethod(criteria.log_rank)


@dataclass
class LogRankRatioDetector(CausalDetector):
    """Log-likelihood log-rank ratio: :func:`tailguard.detect.neural.criteria.log_rank_ratio`."""

    kind: ClassVar[str] = "lrr"
    criterion: ClassVar[Criterion] = staticmethod(criteria.log_rank_ratio)


@dataclass
class EntropyDetector(CausalDetector):
    """Mean entropy of the next token: :func:`tailguard.detect.neural.criteria.entropy`."""

    kind: ClassVar[str] = "entropy"
    criterion: ClassVar[Criterion] = staticmethod(criteria.entropy)


@dataclass
class TwoModelDetector(CausalDetector):
    """A criterion of two models: the scoring one in ``folder``, the other in ``reference``.

    Without a reference both are the model of ``folder``. Their tokenizers must have the same
    vocabulary; texts are split by that of ``folder``.
    """

    reference: str | None = None
    reference_digest: str | None = None

    def _verify(self) -> None:
        super()._verify()
        if self.reference is not None:
            self.reference_digest = verify_folder(self._path(self.reference), self.reference_digest)

    def _open(self) -> Opened:
        opened = super()._open()
        if self.reference is None:
            return opened
        tokenizer = open_tokenizer(self.reference)
        one, two = (t.get_vocab(with_added_tokens=True) for t in (opened.tokenizer, tokenizer))
        if one != two:
            got = f"{len(two):,} tokens against {len(one):,}"
            got += f", {len(one.keys() & two.keys()):,} of one name"
            raise DetectorError(self.reference, "the vocabulary of the scoring model", got,
                                "use two models of one family")  # fmt: skip
        model = self._causal(self.reference, tokenizer)
        width = max(opened.width, _width(model, len(two))) * 2
        limit = positions(model, opened.limit)
        return Opened(opened.tokenizer, (*opened.models, model), limit, width, opened.pad)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        settings, arrays = super().state()
        more = {"reference": self.reference, "reference_digest": self.reference_digest}
        return settings | more, arrays

    @classmethod
    def _arguments(cls, window: Window, settings: dict[str, Any]) -> dict[str, Any]:
        path, digest = settings["reference"], settings["reference_digest"]
        demand((path is None) == (digest is None), "a reference without its digest")
        found = super()._arguments(window, settings)
        if path is not None:
            found |= {"reference": path_of(path), "reference_digest": digest_of(digest)}
        return found


@dataclass
class FastDetectGPTDetector(TwoModelDetector):
    """Sampling discrepancy: :func:`tailguard.detect.neural.criteria.fast_detectgpt`.

    ``folder`` holds the scoring model, ``reference`` the model whose samples it is compared with.
    """

    kind: ClassVar[str] = "fast-detectgpt"
    criterion: ClassVar[Criterion] = staticmethod(criteria.fast_detectgpt)


@dataclass
class BinocularsDetector(TwoModelDetector):
    """Negative Binoculars ratio: :func:`tailguard.detect.neural.criteria.binoculars`.

    ``folder`` holds the performer (a chat model), ``reference`` the observer (its base model).
    """

    kind: ClassVar[str] = "binoculars"
    criterion: ClassVar[Criterion] = staticmethod(criteria.binoculars)
