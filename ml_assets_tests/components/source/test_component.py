"""What the UI shows of a source's events."""

import dagster as dg

from ml_assets_tests.house import House


def test_the_contract_promises_what_the_columns_are(house: House) -> None:
    events = house.defs.resolve_asset_graph().get(dg.AssetKey(["visits", "events"]))
    schema = events.metadata["dagster/column_schema"]
    found = {column.name: column.constraints for column in schema.columns}
    assert found == {
        "visit_id": dg.TableColumnConstraints(nullable=False, unique=True, other=[]),
        "visitor_id": dg.TableColumnConstraints(nullable=False),
        "amount": dg.TableColumnConstraints(nullable=False, other=["amount is at least 0."]),
        "channel": dg.TableColumnConstraints(
            nullable=False, other=["A visit is to the shop or to the web site."]
        ),
        "occurred_at": dg.TableColumnConstraints(nullable=False),
        "available_at": dg.TableColumnConstraints(nullable=False),
        "landing_date": dg.TableColumnConstraints(nullable=False),
        "row_number": dg.TableColumnConstraints(nullable=False),
        "event_date": dg.TableColumnConstraints(nullable=False),
    }
