"""Families of models, one file each; `FAMILIES` finds them by name."""

from __future__ import annotations

from typing import Any

from tailguard.lab.base import Family
from tailguard.mix.registry import Registry

FAMILIES: Registry[Family[Any]] = Registry("family", "tailguard.lab.families")
