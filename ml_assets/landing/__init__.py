"""The landing: where the producer leaves files, and how they are read without trusting them."""

from ml_assets.landing.landed import (
    Landing,
    LandingFile,
    LandingUnavailable,
    Listed,
    NoLandingFiles,
    content_hash,
)
from ml_assets.landing.places.folder import LandingFolder
from ml_assets.landing.reading import ReadResult, RefusedFile, read

__all__ = [
    "Landing",
    "LandingFile",
    "LandingFolder",
    "LandingUnavailable",
    "Listed",
    "NoLandingFiles",
    "ReadResult",
    "RefusedFile",
    "content_hash",
    "read",
]
