"""The landing folder: where the producer drops files, and how they are read without trusting them."""

from ml_assets.landing.files import LandingFile, LandingFolder, NoLandingFiles, content_hash
from ml_assets.landing.reading import ReadResult, Refusal, read

__all__ = ["LandingFile", "LandingFolder", "NoLandingFiles", "ReadResult", "Refusal", "content_hash", "read"]
