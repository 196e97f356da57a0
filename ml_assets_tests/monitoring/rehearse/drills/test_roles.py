from pathlib import Path

import pytest

import ml_assets
from ml_assets.contracts.compile.load import load_contract
from ml_assets.monitoring.rehearse.drills.roles import Roles, RolesError, landing_columns
from ml_assets_tests.places import USE_CASES

RETAIL = load_contract(USE_CASES / "online_retail" / "defs" / "retail_orders" / "contract.yaml")
GROCERY = load_contract(Path(ml_assets.__path__[0]) / "defs" / "transactions" / "contract.yaml")


def test_roles_are_landing_columns_in_the_end() -> None:
    roles = Roles(amount="unit_price", category="country")
    found = landing_columns(RETAIL, roles, "customer_id", ("amount", "category", "entity"), incident="any")
    assert found == {"amount": "UnitPrice", "category": "Country", "entity": "CustomerID"}


def test_a_visit_is_the_first_column_of_the_key_unless_another_is_named() -> None:
    assert landing_columns(GROCERY, Roles(), "household_id", ("visit",), incident="any") == {
        "visit": "basket_id"
    }
    named = Roles(visit="product_id")
    assert landing_columns(GROCERY, named, "household_id", ("visit",), incident="any") == {
        "visit": "product_id"
    }


@pytest.mark.parametrize(
    ("roles", "needs", "said"),
    [
        (Roles(), "amount", r"doesn't say which column that is; write `drills: \{amount: COLUMN\}`"),
        (Roles(), "visit", "changes the visit, and"),
        (Roles(store="branch"), "store", "has no column branch, which is its store for drills"),
        (Roles(amount="amount"), "amount", "amount is made of Quantity, UnitPrice"),
    ],
)
def test_what_is_missing_is_said_with_what_to_write(roles: Roles, needs: str, said: str) -> None:
    with pytest.raises(RolesError, match=said):
        landing_columns(RETAIL, roles, "customer_id", (needs,), incident="an_incident")


def test_only_what_an_incident_needs_is_looked_for() -> None:
    assert landing_columns(RETAIL, Roles(store="branch"), "customer_id", (), incident="late_day") == {}


def test_a_role_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="amuont"):
        Roles(**{"amuont": "amount"})
