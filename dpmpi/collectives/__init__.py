"""Combine: the only code that talks between ranks."""

from . import abort
from .bucket import Bucket
from .communicator import Communicator
from .guard import MismatchError
from .operators import pairs, user_operator
from .plan import AllreducePlan

abort.install()  # from the first import on: a rank may fail before it makes a Communicator

__all__ = ["AllreducePlan", "Bucket", "Communicator", "MismatchError", "pairs", "user_operator"]
