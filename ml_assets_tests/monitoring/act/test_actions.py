from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from ml_assets.instance import clock
from ml_assets.lake import Lake
from ml_assets.monitoring.act.actions import ActionLog
from ml_assets.monitoring.act.decide import Action, Champion, Situation

CHAMPION = Champion(3, date(2017, 10, 8), date(2017, 11, 5))
NOTHING = Action("nothing", "Nothing calls for a retrain.")


def on(day: int) -> Situation:
    return Situation(date(2017, 12, day), CHAMPION, date(2017, 10, 29))


def test_a_decision_is_a_line_once_a_day(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    log = ActionLog(Lake(str(tmp_path)).table("lapse/actions", "month"), "lapse")
    assert log.newest(con, 5) == []
    assert log.note(con, NOTHING, on(1), "sensor")
    assert not log.note(con, NOTHING, on(1), "sensor")
    assert log.note(con, NOTHING, on(1), "schedule")
    assert not log.note(con, NOTHING, on(1), "sensor")
    assert log.note(con, NOTHING, on(2), "sensor")
    assert log.note(con, Action("retrain", "It drifted.", "drift"), on(2), "sensor")
    assert log.note(con, NOTHING, on(2), "sensor")
    rows = log.newest(con, 10)
    assert [(r["as_of"].day, r["action"], r["decided_by"]) for r in rows] == [
        (2, "nothing", "sensor"),
        (2, "retrain", "sensor"),
        (2, "nothing", "sensor"),
        (1, "nothing", "schedule"),
        (1, "nothing", "sensor"),
    ]
    assert (rows[1]["trigger"], rows[1]["why"]) == ("drift", "It drifted.")
    assert (rows[0]["champion_version"], rows[0]["cutoff"]) == (3, date(2017, 10, 29))


def test_after_a_clock_that_was_ahead_the_newest_line_is_the_last_one(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    log = ActionLog(Lake(str(tmp_path)).table("lapse/actions", "month"), "lapse")
    with clock.at(lambda: datetime(2020, 9, 26, tzinfo=UTC)):
        assert log.note(con, NOTHING, on(1), "sensor")
    with clock.at(lambda: datetime(2018, 1, 1, tzinfo=UTC)):
        assert log.note(con, NOTHING, on(2), "sensor")
        assert not log.note(con, NOTHING, on(2), "sensor")
        assert log.note(con, NOTHING, on(3), "sensor")
    assert [row["as_of"].day for row in log.newest(con, 5)] == [3, 2, 1]
