"""The landing: where the producer leaves files, and how they are read without trusting them."""

from ml_assets.landing.places.folder import (
    Landing,
    LandingFile,
    LandingFolder,
    LandingUnavailable,
    Listed,
    NoLandingFiles,
    content_hash,
)
from ml_assets.landing.reading import ReadResult, Refusal, read

__all__ = [
    "Landing",
    "LandingFile",
    "LandingFolder",
    "LandingUnavailable",
    "Listed",
    "NoLandingFiles",
    "ReadResult",
    "Refusal",
    "content_hash",
    "read",
]
