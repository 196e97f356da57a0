import hashlib
import re

from ml_assets.training.provenance import CHECKOUT, code_facts


def test_the_facts_name_the_code() -> None:
    facts = code_facts()
    assert set(facts) == {"git_commit", "git_dirty", "lock_sha256"}
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", facts["git_commit"])
    assert facts["git_dirty"] in ("true", "false", "unknown")
    lock = (CHECKOUT / "requirements.lock").read_bytes()
    assert facts["lock_sha256"] == hashlib.sha256(lock).hexdigest()
