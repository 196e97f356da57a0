import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_assets.contracts import ContractError
from ml_assets.contracts.compare.changes import Change, column_added, columns_changed, describe, type_changed
from ml_assets.contracts.compare.diff import diff

BASE = """\
apiVersion: v3.2.0
kind: DataContract
id: visits
version: 1.2.0
status: active
schema:
  - name: visits
    properties:
      - {name: visit_id, logicalType: integer, primaryKey: true}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", logicalTypeOptions: {minimum: 0}}
      - {name: code, logicalType: string, logicalTypeOptions: {maxLength: 10}}
      - name: channel
        logicalType: string
        required: true
        enum: [{value: shop}, {value: web}]
      - name: brand
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [own, other]}, mustBe: 0}
      - {name: email, logicalType: string, classification: personal}
      - {name: shop, physicalName: ShopNo, logicalType: integer, unique: true}
      - {name: day, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy, maximum: "2030-01-01"}}
      - {name: net, logicalType: number, transformLogic: "CAST(amount AS DECIMAL(10,2)) / 2"}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {name: row_count, metric: rowCount, mustBeGreaterThan: 0}
      - {name: refused_share, metric: invalidValues, unit: percent, mustBeLessOrEqualTo: 5}
      - {name: few_free, type: sql, query: "SELECT count(*) FROM {table} WHERE amount = 0", mustBeBetween: [0, 10]}
      - {type: custom, engine: ml_assets, implementation: {trend: volume}}
slaProperties:
  - {property: latency, value: 6, unit: h}
  - {property: freshness, value: 2, unit: d}
  - {property: retention, value: 3, unit: y}
"""

Differ = Callable[..., list[Change]]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract that changes."""
    path = tmp_path_factory.mktemp("old") / "old.yaml"
    path.write_text(BASE)
    return path


@pytest.fixture
def changed(old: Path, tmp_path: Path) -> Differ:
    """The changes that replacing some text of the contract makes; a new major version unless it says otherwise."""

    def differ(*replaced: tuple[str, str], version: str = "2.0.0") -> list[Change]:
        new = tmp_path / "new.yaml"
        text = BASE.replace("version: 1.2.0", f"version: {version}")
        for before, after in replaced:
            assert before in text
            text = text.replace(before, after)
        new.write_text(text)
        return [change for change in diff(old, new) if change.where != "version"]

    return differ


CASES = [
    # breaking: columns
    (
        "      - {name: code, logicalType: string, logicalTypeOptions: {maxLength: 10}}\n",
        "",
        "breaking properties.code: column 'code' is gone; breaks readers, who find it no more, and producers: "
        "files that have the landing column 'code' are refused",
    ),
    (
        '      - {name: net, logicalType: number, transformLogic: "CAST(amount AS DECIMAL(10,2)) / 2"}\n',
        "",
        "breaking properties.net: column 'net' is gone; breaks readers: they find it no more",
    ),
    (
        "      - {name: occurred_at",
        "      - {name: note, logicalType: string}\n      - {name: occurred_at",
        "breaking properties.note: column 'note' is new; breaks producers: files without the landing column "
        "'note' are refused",
    ),
    (
        "      - {name: occurred_at",
        "      - {name: half, logicalType: number, physicalName: amount, "
        "transformLogic: amount / 2}\n      - {name: occurred_at",
        "safe properties.half: column 'half' is new, and made of what is landed already",
    ),
    (
        "      - {name: occurred_at",
        "      - {name: upper_code, logicalType: string, transformLogic: upper(code), required: true}\n"
        "      - {name: occurred_at",
        "breaking properties.upper_code: column 'upper_code' is new; breaks producers: rows that break "
        "'upper_code_required' are refused",
    ),
    (
        'DECIMAL(10,2)", log',
        'DECIMAL(10,1)", log',
        "breaking properties.amount: column 'amount' changed from DECIMAL(10,2) to DECIMAL(10,1); breaks producers "
        "and readers: values of another type are expected, and found",
    ),
    (
        'DECIMAL(10,2)", log',
        'DECIMAL(12,3)", log',
        "safe properties.amount: column 'amount' changed from DECIMAL(10,2) to DECIMAL(12,3), which holds every "
        "value of before",
    ),
    (
        "physicalName: ShopNo",
        "physicalName: ShopNumber",
        "breaking properties.shop.physicalName: ShopNo -> ShopNumber; breaks producers: files must have the landing "
        "column 'ShopNumber' instead",
    ),
    ('/ 2"}', '/ 3"}', "breaking properties.net.transformLogic: "),
    (
        ", logicalType: integer, primaryKey: true}",
        ", logicalType: integer, required: true}",
        "breaking primaryKey: visit_id -> none; ",
    ),
    # breaking: what rows keep
    (
        "{name: code, logicalType: string,",
        "{name: code, logicalType: string, required: true,",
        "breaking properties.code.required: false -> true; breaks producers: rows without a value are refused",
    ),
    (
        "        required: true\n        enum",
        "        enum",
        "breaking properties.channel.required: true -> false; breaks readers: events without a value appear",
    ),
    ("unique: true", "unique: false", "breaking properties.shop.unique: true -> false; breaks readers: "),
    (
        "{minimum: 0}",
        "{minimum: 1}",
        "breaking properties.amount.logicalTypeOptions.minimum: 0 -> 1; breaks producers: rows that were fine are "
        "refused",
    ),
    (
        "{minimum: 0}",
        "{minimum: -1}",
        "safe properties.amount.logicalTypeOptions.minimum: 0 -> -1; more is taken than before",
    ),
    (
        ", logicalTypeOptions: {minimum: 0}",
        "",
        "safe properties.amount.logicalTypeOptions.minimum: 0 -> none; more is taken than before",
    ),
    ("maxLength: 10", "maxLength: 9", "breaking properties.code.logicalTypeOptions.maxLength: 10 -> 9; "),
    ("maxLength: 10", "maxLength: 11", "safe properties.code.logicalTypeOptions.maxLength: 10 -> 11; "),
    (
        "2030-01-01",
        "2029-01-01",
        "breaking properties.day.logicalTypeOptions.maximum: 2030-01-01 -> 2029-01-01; ",
    ),
    (
        "2030-01-01",
        "2031-01-01",
        "safe properties.day.logicalTypeOptions.maximum: 2030-01-01 -> 2031-01-01; ",
    ),
    (
        "maxLength: 10",
        "maxLength: 10, pattern: a",
        "breaking properties.code.logicalTypeOptions.pattern: none -> a; ",
    ),
    (
        "dd/MM/yyyy",
        "MM/dd/yyyy",
        "breaking properties.day.logicalTypeOptions.format: dd/MM/yyyy -> MM/dd/yyyy; ",
    ),
    (
        "occurred_at, logicalType: timestamp",
        "occurred_at, logicalTypeOptions: {defaultTimezone: Europe/Oslo}, logicalType: timestamp",
        "breaking properties.occurred_at.logicalTypeOptions.defaultTimezone: UTC -> Europe/Oslo; breaks producers "
        "and readers: times without an offset become other moments",
    ),
    (
        "occurred_at, logicalType: timestamp",
        "occurred_at, logicalTypeOptions: {timezone: true}, logicalType: timestamp",
        "breaking properties.occurred_at.logicalTypeOptions.timezone: false -> true; breaks producers: times without "
        "an offset are refused",
    ),
    (
        "[{value: shop}, {value: web}]",
        "[{value: shop}]",
        "breaking properties.channel.enum: without 'web' now; breaks producers: rows with it are refused",
    ),
    ("{value: web}]", "{value: web}, {value: phone}]", "safe properties.channel.enum: with 'phone' now"),
    (
        "[own, other]",
        "[own]",
        "breaking properties.brand.quality.invalidValues.arguments.validValues: without 'other' now; breaks "
        "producers: what was fine breaks the rule",
    ),
    (
        "[own, other]",
        "[own, other, third]",
        "safe properties.brand.quality.invalidValues.arguments.validValues: with 'third' now",
    ),
    (
        ", classification: personal",
        "",
        "breaking properties.email.classification: personal -> none; breaks readers: they find plain values "
        "instead of hashes",
    ),
    (
        "{name: code, logicalType: string,",
        "{name: code, logicalType: string, classification: personal,",
        "breaking properties.code.classification: none -> personal; breaks readers: they find hashes instead of "
        "values",
    ),
    # rules
    (
        "    quality:\n      - {name: row",
        "    quality:\n      - {metric: duplicateValues, arguments: {properties: [code]}, mustBe: 0}\n      - {name: row",
        "breaking quality.duplicateValues: the rule is new; breaks producers: rows or days that break it are refused",
    ),
    (
        "    quality:\n      - {name: row",
        "    quality:\n      - {metric: duplicateValues, arguments: {properties: [code]}, mustBe: 0, severity: warning}"
        "\n      - {name: row",
        "safe quality.duplicateValues: the rule is new, and warns only",
    ),
    (
        "      - {name: row_count, metric: rowCount, mustBeGreaterThan: 0}\n",
        "",
        "safe quality.row_count: the rule is gone",
    ),
    (
        "mustBeGreaterThan: 0",
        "mustBeGreaterOrEqualTo: 0",
        "safe quality.row_count.mustBeGreaterOrEqualTo: mustBeGreaterThan 0 -> mustBeGreaterOrEqualTo 0",
    ),
    (
        "mustBeGreaterThan: 0",
        "mustBeGreaterOrEqualTo: 1",
        "safe quality.row_count.mustBeGreaterOrEqualTo: mustBeGreaterThan 0 -> mustBeGreaterOrEqualTo 1",
    ),
    ("mustBeGreaterThan: 0", "mustBeGreaterThan: 1", "breaking quality.row_count.mustBeGreaterThan: "),
    ("mustBeGreaterThan: 0", "mustNotBe: 0", "safe quality.row_count.mustNotBe: "),
    (
        "mustBeLessOrEqualTo: 5",
        "mustBeLessOrEqualTo: 4",
        "breaking quality.refused_share.mustBeLessOrEqualTo: mustBeLessOrEqualTo 5 percent -> mustBeLessOrEqualTo 4 "
        "percent; breaks producers: what was fine breaks the rule",
    ),
    ("mustBeLessOrEqualTo: 5", "mustBeLessOrEqualTo: 6", "safe quality.refused_share.mustBeLessOrEqualTo: "),
    ("unit: percent, ", "", "breaking quality.refused_share.mustBeLessOrEqualTo: "),
    ("[0, 10]", "[1, 10]", "breaking quality.few_free.mustBeBetween: "),
    ("[0, 10]", "[-1, 10.5]", "safe quality.few_free.mustBeBetween: "),
    ("mustBeBetween: [0, 10]", "mustBeLessOrEqualTo: 10", "safe quality.few_free.mustBeLessOrEqualTo: "),
    ("mustBeBetween: [0, 10]", "mustBe: 3", "breaking quality.few_free.mustBe: "),
    ("amount = 0", "amount = 1", "breaking quality.few_free.query: "),
    ("[0, 10]}", "[0, 10], severity: warning}", "safe quality.few_free.severity: error -> warning"),
    ("{trend: volume}", "{trend: volume, low: 0.7}", "safe quality.volume.implementation: "),
    (
        "{name: shop, ",
        "{name: shop, relationships: [{to: shops.shop_no}], ",
        "breaking relationships.shop_in_shops: none -> shops.shop_no; breaks producers: rows with values that don't "
        "occur there are refused",
    ),
    (
        "{name: shop, ",
        "{name: shop, relationships: [{to: shops.shop_no, customProperties: [{property: severity, value: warning}]}], ",
        "safe relationships.shop_in_shops: none -> shops.shop_no (exactly 0 rows, warning)",
    ),
    # service
    (
        "value: 6, unit: h",
        "value: 2, unit: d",
        "breaking slaProperties.latency: 6 hours -> 2 days; breaks readers: features know events later",
    ),
    ("value: 6, unit: h", "value: 90, unit: min", "safe slaProperties.latency: 6 hours -> 90 minutes; "),
    (
        "value: 2, unit: d",
        "value: 3, unit: d",
        "breaking slaProperties.freshness: 2 days -> 3 days; breaks readers: the newest day may be older",
    ),
    ("value: 2, unit: d", "value: 1, unit: d", "safe slaProperties.freshness: 2 days -> 1 days; "),
    (
        "  - {property: freshness, value: 2, unit: d}\n",
        "",
        "breaking slaProperties.freshness: 2 days -> none; ",
    ),
    (
        "value: 3, unit: y",
        "value: 2, unit: y",
        "breaking slaProperties.retention: 1095 days -> 730 days; breaks readers: days are removed sooner",
    ),
    (
        "  - {property: retention, value: 3, unit: y}\n",
        "",
        "safe slaProperties.retention: 1095 days -> none; ",
    ),
    # the rest
    ("  - name: visits", "  - name: calls", "breaking schema.name: visits -> calls; "),
    (
        "  - name: visits",
        "  - name: visits\n    description: Who came.",
        "safe schema.description: none -> Who came.",
    ),
    (
        "name: code,",
        "name: code, description: A code., ".strip(),
        "safe properties.code.description: none -> A code.",
    ),
    ("status: active", "status: retired", "safe status: active -> retired"),
    (
        "status: active",
        "status: active\ncustomProperties: [{property: closedDays, value: [sunday]}]",
        "safe customProperties: ",
    ),
]


@pytest.mark.parametrize(("before", "after", "wanted"), CASES, ids=[wanted[:60] for _, _, wanted in CASES])
def test_one_change_is_named_and_judged(changed: Differ, before: str, after: str, wanted: str) -> None:
    [change] = changed((before, after))
    said = f"{change.kind} {change.where}: {change.text}"
    assert said.startswith(wanted) if wanted.endswith((": ", "; ")) else said == wanted


@pytest.mark.parametrize(("before", "after", "wanted"), CASES, ids=[wanted[:60] for _, _, wanted in CASES])
def test_the_other_way_round_is_a_change_at_the_same_place(
    changed: Differ, old: Path, tmp_path: Path, before: str, after: str, wanted: str
) -> None:
    [there] = changed((before, after))
    back = [change for change in diff(tmp_path / "new.yaml", old) if change.where != "version"]
    assert len(back) == 1
    assert back[0].where.rpartition(".")[0] == there.where.rpartition(".")[0]


def test_equal_contracts_have_no_changes(changed: Differ) -> None:
    assert changed() == []
    same = changed(
        ("value: 6, unit: h", "value: 360, unit: minutes"),
        ('/ 2"}', '/  2"}'),
        ('physicalType: "DECIMAL(10,2)"', 'physicalType: "numeric(10, 2)"'),
        (
            "{name: shop, physicalName: ShopNo, logicalType: integer, unique",
            "{name: shop, unique: true, physicalName: ShopNo, logicalType: integer, required",
        ),
        ("required: true}\n      - {name: day", "required: false}\n      - {name: day"),
    )
    assert same == []


def test_the_order_of_columns_is_safe(changed: Differ) -> None:
    code = "      - {name: code, logicalType: string, logicalTypeOptions: {maxLength: 10}}\n"
    moved = changed((code, ""), ("      - {name: visit_id", f"{code}      - {{name: visit_id"))
    assert [(change.kind, change.where) for change in moved] == [("safe", "properties")]


def test_breaking_changes_come_first_and_need_a_new_major_version(
    old: Path, tmp_path: Path, changed: Differ
) -> None:
    changed(("status: active", "status: retired"), ("maxLength: 10", "maxLength: 9"), version="1.3.0")
    changes = diff(old, tmp_path / "new.yaml")
    assert [(change.kind, change.where) for change in changes] == [
        ("breaking", "properties.code.logicalTypeOptions.maxLength"),
        ("breaking", "version"),
        ("safe", "status"),
    ]
    assert changes[1].text == "1.2.0 -> 1.3.0; a breaking change needs a new major version: write 2.0.0"
    changed(("maxLength: 10", "maxLength: 9"))
    assert diff(old, tmp_path / "new.yaml")[-1] == Change("safe", "version", "1.2.0 -> 2.0.0")
    changed(("maxLength: 10", "maxLength: 11"), version="1.3.0")
    assert {change.kind for change in diff(old, tmp_path / "new.yaml")} == {"safe"}


def test_a_renamed_column_is_recognised(changed: Differ) -> None:
    changes = changed(("name: code,", "name: codes,"))
    assert [change.text.partition("; breaks")[0] for change in changes] == [
        "column 'code' is gone",
        "column 'codes' is new; did you mean 'code'?",
    ]


def test_a_contract_that_is_none_is_refused(old: Path, tmp_path: Path, changed: Differ) -> None:
    changed()
    with pytest.raises(ContractError, match=re.escape("can't be read")):
        diff(old, tmp_path / "none.yaml")


def test_files_are_compared_in_the_same_words() -> None:
    changes = columns_changed(["id", "amount", "at"], ["at", "amuont", "id", "note"])
    assert describe(changes) == (
        "column 'amount' is gone; column 'amuont' is new; did you mean 'amount'?; column 'note' is new"
    )
    assert columns_changed(["a", "b"], ["b", "a"]) == []
    assert column_added("note").where == "properties.note"
    assert type_changed("amount", "BIGINT", "DOUBLE").text == "column 'amount' changed from BIGINT to DOUBLE"
