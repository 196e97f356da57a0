"""Where the tests find their files."""

from pathlib import Path

TESTS = Path(__file__).parent
CHECKOUT = TESTS.parent
FIXTURES = TESTS / "fixtures"
CONTRACTS = FIXTURES / "contracts"
LANDING = FIXTURES / "landing"
USE_CASES = TESTS / "use_cases"
