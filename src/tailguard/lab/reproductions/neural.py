"""Rows on neural models: 25. (22 to 24 need the neural families, which are not built yet.)"""

from __future__ import annotations

from tailguard.lab.reproductions import underspecified

underspecified(
    25,
    "a language model fine-tuned on its own text",
    cite="Shumailov et al. 2024, Nature 631:755",
    setting="OPT-125m on WikiText-2: perplexity 115 zero-shot, 34 fine-tuned on real text, "
    "+20 to +28 after five generations without real text, little worse with 10% of it",
    reason="learning rate, batch size and epochs are not reported; weights and a GPU are needed",
)
