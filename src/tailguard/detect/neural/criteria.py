"""Criteria of synthetic text from what a causal language model says of each token.

Every criterion is a function of four numbers per token (:class:`TokenStatistics`), so that the
arrays over the vocabulary can be dropped as soon as these are made. All are in the direction that
their source publishes: higher means more likely synthetic. nan where a ratio is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailguard.measure.base import Floats

ROUNDING = 1e-5
"""Nats per token below which a spread or an entropy is rounding of 32-bit floats and no signal:
log-probabilities reach some 20 nats, and eps times 20 is 2.4e-6."""


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """What the models say of the n scored tokens of one text; each array has shape (n,), in nats.

    With p the scoring model's and q the reference model's law of token i given the tokens before:
    ``log_p`` = ln p(x_i); ``log_rank`` = ln of the rank of x_i under p (1 is the likeliest; of
    equals it is the best rank); ``mean`` = E_q[ln p]; ``variance`` = Var_q[ln p]. Where both models
    are one, -``mean`` is the entropy of p.
    """

    log_p: Floats
    log_rank: Floats
    mean: Floats
    variance: Floats

    def __len__(self) -> int:
        return len(self.log_p)


def likelihood(tokens: TokenStatistics) -> float:
    """Mean log-likelihood, in nats per token, at most 0; nan without tokens.

    Source: Solaiman et al. 2019 (arXiv 1908.09203); as a baseline in Mitchell et al. 2023.

    >>> two = np.array([-1.0, -3.0])
    >>> likelihood(TokenStatistics(two, two * 0, two, two * 0))
    -2.0
    """
    return float(np.mean(tokens.log_p)) if len(tokens) else math.nan


def log_rank(tokens: TokenStatistics) -> float:
    """Negative mean log-rank, in nats per token, at most 0; nan without tokens.

    Source: Mitchell et al. 2023 (arXiv 2301.11305), after the ranks of Gehrmann et al. 2019.

    >>> ranks = np.log([1.0, 4.0])
    >>> round(log_rank(TokenStatistics(ranks, ranks, ranks, ranks)), 4)
    -0.6931
    """
    return -float(np.mean(tokens.log_rank)) if len(tokens) else math.nan


def log_rank_ratio(tokens: TokenStatistics) -> float:
    """Log-likelihood log-rank ratio |sum ln p(x_i)| / sum ln rank(x_i), at least 0.

    nan where every token is the model's first choice: the ratio has no denominator.
    Source: Su et al. 2023 (arXiv 2306.05540), where it is called LRR.

    >>> tokens = TokenStatistics(np.array([-1.0, -3.0]), np.array([0.0, 2.0]), *np.zeros((2, 2)))
    >>> log_rank_ratio(tokens)
    2.0
    """
    ranks = float(tokens.log_rank.sum())
    return abs(float(tokens.log_p.sum())) / ranks if ranks > 0 else math.nan


def entropy(tokens: TokenStatistics) -> float:
    """Mean entropy of the next token, in nats, at least 0; nan without tokens.

    It asks the contexts, not the tokens. That higher means synthetic is what Mitchell et al. 2023
    found more often than not; it inverts easily. ``tokens`` must come from one model.

    >>> zero = np.zeros(1)
    >>> entropy(TokenStatistics(zero, zero, np.array([-0.5]), zero))
    0.5
    """
    return -float(np.mean(tokens.mean)) if len(tokens) else math.nan


def fast_detectgpt(tokens: TokenStatistics) -> float:
    """Sampling discrepancy (sum ln p(x_i) - sum mean_i) / sqrt(sum variance_i), in deviations.

    The conditional probability curvature in its analytic form: how far the text's log-likelihood
    lies above that of texts whose every token is drawn from the reference model in the same
    context, in standard deviations of these. Unbounded; nan where the spread is rounding.
    Source: Bao et al., ICLR 2024 (arXiv 2310.05130).

    >>> three = np.array([-1.0, -1.0, -2.0])
    >>> fast_detectgpt(TokenStatistics(three, three, np.full(3, -2.0), np.full(3, 3.0)))
    0.6666666666666666
    """
    spread = math.sqrt(float(tokens.variance.sum()))
    if not len(tokens) or spread <= ROUNDING * math.sqrt(len(tokens)):
        return math.nan
    return float((tokens.log_p - tokens.mean).sum()) / spread


def binoculars(tokens: TokenStatistics) -> float:
    """Negative ratio of log-perplexity to log cross-perplexity, at most 0.

    ln PPL = -mean ln p(x_i) of the performer p; ln X-PPL = -mean E_q[ln p], q the observer. The
    published ratio is low for machines; this is its negative. Both means run over the same tokens.
    (The authors' program averages the second over one position more, that after the last token.)
    With one model for both, the denominator is its mean entropy. nan where that is rounding.
    Source: Hans et al., ICML 2024 (arXiv 2401.12070); performer and observer as in its program.

    >>> zero = np.zeros(1)
    >>> binoculars(TokenStatistics(np.array([-1.5]), zero, np.array([-2.0]), zero))
    -0.75
    """
    crossed = -float(tokens.mean.sum())
    if not len(tokens) or crossed <= ROUNDING * len(tokens):
        return math.nan
    return float(tokens.log_p.sum()) / crossed


Criterion = Callable[[TokenStatistics], float]
