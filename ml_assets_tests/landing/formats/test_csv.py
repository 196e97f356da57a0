from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets_tests.landing.conftest import HEADER, ROW, days, read_all, reason, values, write


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst"])
def test_values_are_the_text_that_is_written(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    write(folder, 1, HEADER + ROW + '2,,"a ""b"", c\nd",x,\n', suffix)
    write(folder, 2, "\ufeffsize,occurred_at,Label,amount,id\r\n7,2017-07-02, é ,1,007\r\n", suffix)
    result = read_all(con, folder, contract)
    assert result.refused == []
    assert values(result, "id, amount, Label, occurred_at, size, row_number") == [
        ("1", "1.50", "a", "2017-07-01 11:00:00", "7", 1),
        ("2", None, 'a "b", c\nd', "x", None, 2),
        ("007", "1", " é ", "2017-07-02", "7", 1),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "~", "§"])
def test_any_character_can_part_the_fields(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, delimiter: str
) -> None:
    write(folder, 1, (HEADER + ROW).replace(",", delimiter).replace("1.50", '"1,50"'))
    [row] = values(read_all(con, folder, contract, delimiter=delimiter))
    assert row == ("1", "1,50", "a", "2017-07-01 11:00:00", "7")


@pytest.mark.parametrize("delimiter", ["", "::", '"', "\n", "\r", "\0"])
def test_not_everything_is_a_delimiter(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, delimiter: str
) -> None:
    write(folder, 1, HEADER + ROW)
    with pytest.raises(ValueError, match="isn't one character"):
        read_all(con, folder, contract, delimiter=delimiter)


@pytest.mark.parametrize(
    ("written", "expected", "said"),
    [
        (";", ",", "a semicolon between the names where a comma"),
        (",", "\t", "a comma between the names where a tab"),
    ],
)
def test_another_delimiter_is_named(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, written: str, expected: str, said: str
) -> None:
    write(folder, 1, (HEADER + ROW).replace(",", written))
    assert said in reason(read_all(con, folder, contract, delimiter=expected))


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (HEADER + "1,2,,x,7", None),
        (HEADER + '1,2,"",x,7\n', None),
        (HEADER + '1,2,5" pipe,x,7\n', '5" pipe'),
        (HEADER + "1,2,'a',x,7\n", "'a'"),
        (HEADER + "\n\n1,2,a,x,7\n\n", "a"),
        ((HEADER + '1,2,"a\nb",x,7\n').replace("7\n", "7\r\n").replace("size\n", "size\r\n"), "a\nb"),
        ((HEADER + "1,2,a,x,7\n").replace("\n", "\r"), "a"),
        (HEADER + "1,2,NULL,x,7\n", "NULL"),
        (HEADER + "1,2,# no comment,x,7\n", "# no comment"),
        (HEADER + "1,2,\u2028,x,7\n", "\u2028"),
        ('"id","amount","Label","occurred_at","size"\n1,2,a,x,7\n', "a"),
    ],
)
def test_what_csv_files_may_look_like(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, content: str, label: str | None
) -> None:
    write(folder, 1, content)
    result = read_all(con, folder, contract)
    assert result.refused == []
    assert values(result, "Label") == [(label,)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (HEADER + ROW * 3 + "short,row\n" + ROW, 5),
        (HEADER + '1,2,"a\nb",x,7\n' + "short,row\n", 4),
        (HEADER + '1,2,"a\nb\nc",x,7\n' * 10 + "\n\nshort,row\n" + ROW, 34),
        ((HEADER + '1,2,"a\nb",x,7\n').replace("\n", "\r\n") + "short,row\r\n", 4),
    ],
)
def test_a_bad_line_has_the_number_that_an_editor_shows(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, content: str, line: int
) -> None:
    write(folder, 1, content)
    assert f"line {line} has 2 fields, 5 expected: 'short,row'; " in reason(read_all(con, folder, contract))


def test_nothing_is_left_of_a_file_that_fails_late(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    write(folder, 1, HEADER + ROW * 200_000 + "broken\n")
    result = read_all(con, folder, contract)
    assert "line 200002 has 1 fields" in reason(result)
    assert (result.rows, result.counts) == (None, {})


def test_a_line_without_an_end_takes_little_memory(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    write(folder, 1, HEADER + ROW, ".csv.gz")
    bomb = write(folder, 2, HEADER + "a" * 100_000_000, ".csv.gz")
    assert bomb.stat().st_size < 100_000
    result = read_all(con, folder, contract)
    assert "line 2 is longer than 2,097,152 bytes" in reason(result)
    assert days(result) == {1: 1}


@pytest.mark.parametrize("blanks", ["  ", "\t"])
def test_blanks_before_a_quote_never_make_the_quotes_part_of_the_value(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, blanks: str
) -> None:
    """DuckDB reads over one blank, and takes the quotes for letters behind more."""
    write(folder, 1, HEADER + '1,2,"a, ""b""",x,7\n')
    write(folder, 2, HEADER + ROW + f'1, 2,{blanks}"shop", x, 7\n')
    write(folder, 3, HEADER + '1, 2, "sh, op", x, 7\n')
    result = read_all(con, folder, contract)
    assert "row 2 has a blank before the quotes of 'Label', which would become part of the value" in reason(
        result
    )
    assert values(result, "Label") == [('a, "b"',), ("sh, op",)]


@pytest.mark.parametrize("line", ['1,2,"a \\"b\\" c",x,7', '1,2,""a"",x,7', '1,2,"a"b,x,7'])
def test_quotes_that_are_escaped_otherwise_are_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, line: str
) -> None:
    write(folder, 1, HEADER + ROW + line + "\n")
    assert "line 3" in reason(read_all(con, folder, contract))


def test_a_header_in_another_unicode_form_is_told_as_what_it_is(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, tmp_path: Path
) -> None:
    path = tmp_path / "accents.yaml"
    path.write_text(contract.path.read_text().replace("Label", "Caf\u00e9"))
    write(folder, 1, (HEADER + ROW).replace("Label", "Cafe\u0301"))
    said = reason(read_all(con, folder, load_contract(path)))
    assert r"column 'Cafe\u0301' is 'Caf\xe9' in another Unicode form" in said
