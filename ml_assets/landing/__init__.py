"""The landing: where the producer leaves files, and how they are read without trusting them."""

from ml_assets.landing.pieces import (
    Landing,
    LandingFile,
    LandingUnavailable,
    Listing,
    NoLandingFiles,
    Piece,
    by_day,
    content_hash,
)
from ml_assets.landing.places.folder import LandingFolder
from ml_assets.landing.reading import ReadResult, RefusedFile, read

__all__ = [
    "Landing",
    "LandingFile",
    "LandingFolder",
    "LandingUnavailable",
    "Listing",
    "NoLandingFiles",
    "Piece",
    "ReadResult",
    "RefusedFile",
    "by_day",
    "content_hash",
    "read",
]
