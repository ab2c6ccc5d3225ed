"""What can be fitted, as data: which kernel, and how to predict."""

from .glm import MODELS, Model

__all__ = ["MODELS", "Model"]
