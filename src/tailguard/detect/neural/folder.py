"""A model in a local folder: what may be read of it, its digest, and opening it.

Read are ``config.json``, ``tokenizer.json`` and weights in safetensors, and nothing else: no
pickled weights, no code of the folder, no adapters, nothing from the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from tailguard.detect.base import DetectorError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_JSON = 1 << 27
FORBIDDEN = (
    "auto_map", "quantization_config", "transformers_weights", "kernel_config", "fusion_config",
    "distributed_config", "configuration_files", "use_kernels", "backbone",
)  # fmt: skip
"""Keys of ``config.json`` that name code, other files, or arithmetic other than the model's."""
PLAIN = (None, "eager", "sdpa")
"""How attention may be computed. Other names may stand for compiled code that would be fetched."""
Task = Literal["causal language model", "sequence classifier"]
LOADERS: dict[Task, str] = {
    "causal language model": "AutoModelForCausalLM",
    "sequence classifier": "AutoModelForSequenceClassification",
}
_SAVE = "save it there with save_pretrained, weights as safetensors"


def library(name: str) -> Any:
    """A library of the extra; :class:`DetectorError` naming the extra where it is missing."""
    try:
        return import_module(name)
    except ImportError:
        raise DetectorError(
            "neural detector", f"the library {name}", "none installed",
            "pip install 'tailguard[transformers]'",
        ) from None  # fmt: skip


def model_files(folder: str) -> list[str]:
    """Names of the files of a folder that are read, sorted.

    :class:`DetectorError` where the folder is missing, is no whole model, or holds what is
    refused: pickled weights alone, an adapter, code, quantised weights.
    """
    try:
        names = set(os.listdir(folder))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DetectorError(folder, "a folder with a model", reason, "check the path") from None
    for name in (CONFIG, TOKENIZER):
        if name not in names:
            next_step = _SAVE if name == CONFIG else "save a fast tokenizer with save_pretrained"
            raise DetectorError(folder, f"a file {name}", "none", next_step)
    if "adapter_config.json" in names:
        got = "an adapter, which names a model elsewhere"
        raise DetectorError(folder, "a whole model", got, "merge it into its model")
    if any(name.startswith("shard-") or name.endswith(".distcp") for name in names):
        raise DetectorError(folder, "weights as safetensors", "a distributed checkpoint", _SAVE)
    _check_config(folder, _json(folder, CONFIG))
    weights = _weights(folder, names)
    found = sorted({CONFIG, TOKENIZER, *weights})
    for name in found:
        if not os.path.isfile(os.path.join(folder, name)):
            raise DetectorError(folder, f"a regular file {name}", "none", _SAVE)
    return found


def _weights(folder: str, names: set[str]) -> set[str]:
    # The library prefers the single file; what is digested must be what is read.
    if WEIGHTS in names:
        return {WEIGHTS}
    if INDEX not in names:
        pickled = sorted(name for name in names if name.endswith(PICKLED))
        got = f"pickled weights ({pickled[0]})" if pickled else f"no {WEIGHTS}"
        raise DetectorError(folder, "weights as safetensors", got, _SAVE)
    parts = _json(folder, INDEX).get("weight_map")
    values = list(parts.values()) if isinstance(parts, dict) else []
    plain = {v for v in values if isinstance(v, str) and v.endswith(".safetensors") and v in names}
    if not plain or any(not isinstance(v, str) or v not in plain for v in values):
        got = f"an {INDEX} that names others"
        raise DetectorError(folder, "weights in files of this folder", got, _SAVE)
    return {INDEX, *plain}


def _json(folder: str, name: str) -> dict[str, Any]:
    path = os.path.join(folder, name)
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_JSON:
            raise DetectorError(folder, f"a file {name} under 128 MiB", "another", _SAVE)
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        got = f"{name}: {str(error)[:80]}"
        raise DetectorError(folder, "a readable model", got, _SAVE) from None
    if not isinstance(found, dict):
        raise DetectorError(folder, f"an object in {name}", "something else", _SAVE)
    return found


def _check_config(folder: str, config: dict[str, Any]) -> None:
    waiting: list[Any] = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for key, given in value.items():
                chosen = "_implementation" in key and given not in PLAIN
                if chosen or (key in FORBIDDEN and given not in (None, False)):
                    expected = "a model of the library, in full precision"
                    raise DetectorError(folder, expected, f"{key} in {CONFIG}", "use another model")
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def folder_digest(folder: str) -> str:
    """SHA-256, in hex, over the names, sizes and contents of the files that are read, by name.

    Raises as :func:`model_files`. It takes about a second for each 1 to 2 GB of weights.
    """
    digest = hashlib.sha256()
    for name in model_files(folder):
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(f"{name}\0{size}\0".encode())
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            reason = f"{name}: {(error.strerror or str(error)).lower()}"
            raise DetectorError(folder, "readable files", reason, "check the folder") from None
    return digest.hexdigest()


def verify_folder(folder: str, digest: str | None) -> str:
    """The folder's digest; :class:`DetectorError` where it is not the one expected (None: any)."""
    found = folder_digest(folder)
    if digest is not None and found != digest:
        raise DetectorError(
            folder, f"the model {digest[:12]} that was fitted", f"{found[:12]}",
            "restore its files, or fit again",
        )  # fmt: skip
    return found


def open_tokenizer(folder: str) -> Any:
    """The tokenizer of ``tokenizer.json``, without padding or truncation of its own.

    What stands in a text as a special token (``</s>``) is split as any other text: nobody writes
    the model's control tokens by writing their names.
    """
    path = os.path.join(folder, TOKENIZER)
    try:
        found = library("tokenizers").Tokenizer.from_file(path)
    except DetectorError:
        raise
    except Exception as error:  # the library raises bare exceptions
        raise _unusable(folder, "tokenizer", error) from None
    found.no_padding()
    found.no_truncation()
    found.encode_special_tokens = True
    return found


def open_model(folder: str, task: Task, device: str) -> Any:
    """The model of a folder, for inference, with all of its weights from the folder and finite.

    32-bit floats on the CPU, the stored type elsewhere. Raises :class:`DetectorError`.
    """
    torch, transformers = library("torch"), library("transformers")
    if device != "cpu" and not torch.cuda.is_available():
        raise DetectorError("device", "a CUDA device", "none", "pass cpu")
    loader = getattr(transformers, LOADERS[task])
    try:
        with _offline(transformers):
            model, info = _load(loader, folder, torch.float32 if device == "cpu" else "auto")
            model = model.to(device).eval()
    except Exception as error:  # many kinds: a bad config, bad tensors, no memory
        raise _unusable(folder, task, error) from None
    missing = sorted(str(key) for key in info["missing_keys"])
    if missing:
        got = f"no weights for {missing[0]} and {len(missing) - 1} more"
        raise DetectorError(folder, f"a whole {task}", got, "check the model's kind")
    for name, values in model.named_parameters():
        if not bool(torch.isfinite(values).all()):
            got = f"nan or infinity in {name}"
            raise DetectorError(folder, "finite weights", got, "get the model again")
    model.config.use_cache, model.config.return_dict = False, True
    return model


def _load(loader: Any, folder: str, dtype: Any) -> tuple[Any, Any]:
    options = {
        "local_files_only": True, "trust_remote_code": False, "use_safetensors": True,
        "output_loading_info": True, "dtype": dtype,
    }  # fmt: skip
    try:
        return loader.from_pretrained(folder, attn_implementation="sdpa", **options)
    except ValueError:
        return loader.from_pretrained(folder, attn_implementation="eager", **options)


@contextmanager
def _offline(transformers: Any) -> Iterator[None]:
    """Without the network, whatever a configuration asks for; and without bars and warnings.

    The causes of the library's warnings become errors here.
    """
    hub, log = library("huggingface_hub").constants, transformers.logging
    offline, level, bars = hub.HF_HUB_OFFLINE, log.get_verbosity(), log.is_progress_bar_enabled()
    hub.HF_HUB_OFFLINE = True
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = offline
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def _unusable(folder: str, what: str, error: Exception) -> DetectorError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DetectorError(folder, f"a {what} that can be opened", reason, "check the files")
