import dataclasses
import hashlib
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema import Draft201909Validator

from ml_assets.contracts import ContractError
from ml_assets.contracts.compile.document import parse, standard
from ml_assets.contracts.compile.load import load_contract
from ml_assets_tests.places import CHECKOUT
from ml_assets_tests.places import CONTRACTS as FIXTURES

BAD = sorted((FIXTURES / "bad").glob("*.yaml"))
TRANSACTIONS = CHECKOUT / "ml_assets" / "defs" / "transactions" / "contract.yaml"


def test_there_are_bad_contracts() -> None:
    assert len(BAD) > 150


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_contract_is_refused_at_its_line(path: Path) -> None:
    """The first line of a fixture says which line is to blame and what the message has to say."""
    first = path.read_text().splitlines()[0]
    wanted = re.fullmatch(r"# line (\d+): (.*)", first)
    assert wanted is not None
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert wanted[2] in str(caught.value)
    assert caught.value.line == int(wanted[1])
    assert str(caught.value).startswith(f"{path}:{wanted[1]}:")


def test_what_the_fast_validator_lets_pass_is_right() -> None:
    """It may refuse more, an infinity for one: then the other has the last word."""
    exact = Draft201909Validator(standard())
    fast = jsonschema_rs.Draft201909Validator(standard())
    passed = set()
    for path in (*BAD, FIXTURES / "good.yaml", FIXTURES / "every_rule.yaml", TRANSACTIONS):
        with suppress(ContractError):
            data = parse(path, path.read_bytes()).data
            passed.add(fast.is_valid(data))
            assert exact.is_valid(data) or not fast.is_valid(data), path
    assert passed == {True, False}


def test_what_json_does_not_have_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    good = (FIXTURES / "good.yaml").read_text()
    path.write_text(good.replace("version: 1.2.0", 'version: !!binary "aGk="'))
    with pytest.raises(ContractError, match="'version': found b'hi', a string is expected") as caught:
        load_contract(path)
    assert good.splitlines()[caught.value.line - 1].startswith("version:")


def test_a_good_contract_says_what_it_is() -> None:
    path = FIXTURES / "good.yaml"
    contract = load_contract(path)
    assert (contract.name, contract.version, contract.table) == ("Purchases", "1.2.0", "purchases")
    assert contract.description == "One product in one basket."
    assert contract.primary_key == ("shop", "basket_id")
    assert contract.latency == timedelta(days=2)
    assert contract.source_columns[:2] == ("Basket", "shop")
    assert "unit_price" not in contract.source_columns
    assert contract.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert contract.column("unit_price").sources == ("amount", "quantity")
    assert contract.column("basket_id").required
    assert not contract.column("note").required
    with pytest.raises(KeyError):
        contract.column("nothing")


def test_a_contract_cannot_be_changed() -> None:
    contract = load_contract(FIXTURES / "good.yaml")
    with pytest.raises(dataclasses.FrozenInstanceError):
        contract.name = "other"  # type: ignore[misc]


def test_raw_schema_is_text_for_csv_and_typed_for_parquet() -> None:
    contract = load_contract(FIXTURES / "good.yaml")
    assert set(contract.raw_schema(typed=False).values()) == {"VARCHAR"}
    typed = contract.raw_schema(typed=True)
    assert list(typed) == list(contract.source_columns)
    assert (typed["Basket"], typed["amount"], typed["occurred_at"]) == (
        "BIGINT",
        "DECIMAL(10,2)",
        "TIMESTAMPTZ",
    )


@pytest.mark.parametrize("name", ["good", "every_rule"])
def test_every_rule_has_a_name_of_its_own(name: str) -> None:
    contract = load_contract(FIXTURES / f"{name}.yaml")
    rules = (*contract.row_rules, *contract.day_rules, *contract.trend_rules, *contract.service_rules)
    names = [rule.name for rule in rules]
    assert all(rule.description and rule.dimension for rule in rules)
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_severities_are_as_written() -> None:
    contract = load_contract(FIXTURES / "good.yaml")
    severities = {rule.name: rule.severity for rule in contract.row_rules}
    assert severities["note_required"] == "warning"
    assert severities["amount_minimum"] == "error"


def test_a_contract_is_compiled_once() -> None:
    assert load_contract(FIXTURES / "good.yaml") is load_contract(FIXTURES / "good.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nowhere\.yaml: the contract can't be read"):
        load_contract(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"key: [", b"&a [*a"], ids=["empty", "bytes", "open", "loop"]
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "contract.yaml"
    path.write_bytes(content)
    with pytest.raises(ContractError):
        load_contract(path)


def test_the_transactions_contract_holds_the_promised_columns() -> None:
    contract = load_contract(TRANSACTIONS)
    assert contract.raw_schema(typed=True) == {
        "household_id": "BIGINT",
        "store_id": "BIGINT",
        "basket_id": "BIGINT",
        "product_id": "BIGINT",
        "quantity": "BIGINT",
        "amount": "DECIMAL(10,2)",
        "retail_discount": "DECIMAL(10,2)",
        "coupon_discount": "DECIMAL(10,2)",
        "occurred_at": "TIMESTAMPTZ",
        "department": "VARCHAR",
        "brand": "VARCHAR",
        "product_category": "VARCHAR",
    }
    assert contract.primary_key == ("basket_id", "product_id")
    assert contract.latency == timedelta(0)
