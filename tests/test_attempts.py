"""The record of attempts: what it counts, and that nothing in it or around it stops a learner."""

import json

from pix2pix_lib import attempts, course
from pix2pix_lib.attempts import Standing, add_event, read_record, record_path, standings
from pix2pix_lib.tasks import all_tasks


def lines(*events):
    return [json.dumps({"task": "04.x", "event": event}) for event in events]


def test_attempts_hints_and_solutions_are_counted():
    assert standings(lines("wrong", "hint 1", "wrong", "solved"))["04.x"] == Standing(
        attempts=3, hints=1, solution_shown=False, solved=True, solved_alone=True
    )
    shown = standings(lines("wrong", "hint 1", "hint 2", "solution", "solved"))["04.x"]
    assert shown == Standing(2, 2, True, True, False)
    late = standings(lines("solved", "solution", "solved", "wrong"))["04.x"]
    assert late == Standing(1, 0, True, True, True)  # what comes after counts no more


def test_lines_that_are_no_events_are_left_out():
    broken = ["", "{", "[]", '{"task": "04.x"}', '{"task": "04.x", "event": "cheated"}', "null"]
    assert standings(broken) == {}
    assert standings(broken + lines("wrong"))["04.x"].attempts == 1


def test_record_holds_task_and_event_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(tmp_path / "deep" / "progress.jsonl"))
    add_event("04.x", "wrong")
    add_event("04.y", "solved")
    text = record_path().read_text(encoding="utf-8")
    assert text == "".join(
        f'{{"task": "{task}", "event": "{event}"}}\n'
        for task, event in (("04.x", "wrong"), ("04.y", "solved"))
    )
    assert read_record() == {"04.x": Standing(1), "04.y": Standing(1, 0, False, True, True)}


def test_record_lies_in_the_course_s_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PIX2PIX_PROGRESS")
    monkeypatch.setattr(attempts, "course_folder", lambda: tmp_path)
    assert record_path() == tmp_path / "runs" / "progress.jsonl"
    assert read_record() == {}


def test_folder_that_cannot_be_written_costs_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(tmp_path / "file" / "progress.jsonl"))
    add_event("04.x", "wrong")
    assert capsys.readouterr().out.startswith("(not recorded: progress.jsonl cannot be written")
    assert read_record() == {}


def test_report_is_a_page_with_every_task_and_its_standing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIX2PIX_PROGRESS", str(tmp_path / "progress.jsonl"))
    first, second, third, *_ = all_tasks()
    for task, *events in (
        (first, "wrong", "hint 1", "solved"), (second, "solution", "solved"), (third, "wrong"),
    ):  # fmt: skip
        for event in events:
            add_event(task.key, event)
    add_event("99.of_another_course", "solved")
    course.report()
    out = capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"2 of {len(all_tasks())} tasks solved." in page
    assert page.count("<tr>") == len(all_tasks()) + len({task.key[:2] for task in all_tasks()})
    for standing, count in (
        ("<td>solved</td>", 1), ("solved after the solution was shown", 1), ("not solved yet", 1),
    ):  # fmt: skip
        assert page.count(standing) == count
    assert "of_another_course" not in page and page.count("not begun") == len(all_tasks()) - 3
    assert "report.html" in out and f"{first.key[:2]}   " in out
    course.report(first.key[:2])
    assert first.title in capsys.readouterr().out
