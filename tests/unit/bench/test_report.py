"""The report of a bench: ratios, tables, the file, and what is seen of a regression."""

from pathlib import Path

import pytest
from msgspec import structs

from bench import report
from bench.figures import Figure, Figures
from bench.report import Circumstances, Outcome, Report
from service.errors import CommandError

CIRCUMSTANCES = Circumstances(
    began="2026-01-01T00:00:00+00:00",
    rounds=3,
    scale=1.0,
    cpus=2,
    load_before=(0.5, 0.4, 0.3),
    load_after=(2.5, 0.4, 0.3),
    versions={"orders": "0.1.0"},
)


def report_of(**figures: tuple[float, ...]) -> Report:
    """Of figures whose names have `_` for a dot."""
    named: Figures = {name.replace("_", "."): Figure("orders/s", values) for name, values in figures.items()}
    return report.create(named, CIRCUMSTANCES)


def only(made: Report) -> Outcome:
    (outcome,) = made.ratios
    return outcome


def line_of(markdown: str, text: str) -> str:
    (line,) = [line for line in markdown.splitlines() if text in line]
    return line


def test_a_ratio_divides_round_by_round_for_what_disturbs_a_round_disturbs_both() -> None:
    outcome = only(report_of(ingest_ours=(90.0, 9.0, 50.0), ingest_raw=(100.0, 10.0, 50.0)))
    assert (outcome.name, outcome.values, outcome.median) == ("ingest.ours / ingest.raw", (0.9, 0.9, 1.0), 0.9)


def test_a_ratio_of_figures_whose_rounds_do_not_match_divides_their_medians() -> None:
    assert only(report_of(ingest_ours=(90.0, 80.0, 100.0), ingest_raw=(100.0,))).values == (0.9,)


def test_a_ratio_without_one_of_its_figures_is_left_out() -> None:
    assert report_of(ingest_ours=(90.0,)).ratios == ()


def test_a_figure_with_a_limit_of_its_own_is_a_ratio_too() -> None:
    assert [each.is_met for each in report_of(latency_idle_p50=(14.0,), latency_idle_p99=(41.0,)).ratios] == [
        True,
        False,
    ]


@pytest.mark.parametrize(("rate", "verdict"), [(90.0, "met"), (89.0, "missed")])
def test_a_goal_is_met_or_missed(rate: float, verdict: str) -> None:
    made = report_of(ingest_ours=(rate,), ingest_raw=(100.0,))
    assert line_of(report.markdown(made), "COPY of prepared").endswith(f"| {verdict} |")


def test_each_ratio_of_the_table_has_a_name_and_a_text_of_its_own() -> None:
    assert (
        len({each.name for each in report.RATIOS}) == len({each.text for each in report.RATIOS}) == len(report.RATIOS)
    )


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    made = report_of(ingest_ours=(90.0, 80.0), ingest_raw=(100.0, 100.0))
    report.write(made, tmp_path / "bench.json")
    assert report.read(tmp_path / "bench.json") == made


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"figures": {}}'])
def test_a_file_that_holds_no_report_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bench.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=r"bench\.json: not a report of"):
        report.read(path)


def test_a_ratio_is_worse_when_it_fell_by_more_than_its_rounds_differ() -> None:
    before = report_of(ingest_ours=(100.0, 98.0, 102.0), ingest_raw=(100.0,) * 3)
    slower = report_of(ingest_ours=(90.0, 88.0, 92.0), ingest_raw=(100.0,) * 3)
    within = report_of(ingest_ours=(97.0, 95.0, 99.0), ingest_raw=(100.0,) * 3)
    assert only(slower).is_worse_than(only(before))
    assert not only(within).is_worse_than(only(before))
    assert not only(before).is_worse_than(only(slower))


def test_of_a_limit_from_above_more_is_worse() -> None:
    before, after = report_of(latency_1000_p99=(40.0, 41.0)), report_of(latency_1000_p99=(50.0, 51.0))
    assert only(after).is_worse_than(only(before))
    assert not only(before).is_worse_than(only(after))


def test_two_runs_of_one_round_each_do_not_tell_whether_anything_is_worse() -> None:
    before, after = report_of(latency_1000_p99=(40.0,)), report_of(latency_1000_p99=(50.0,))
    assert not only(after).is_worse_than(only(before))
    assert only(after).is_worse_than(only(report_of(latency_1000_p99=(40.0, 41.0))))


def test_a_comparison_with_a_run_of_another_size_says_so() -> None:
    made = report_of(ingest_ours=(80.0,))
    quick = report.create({}, structs.replace(CIRCUMSTANCES, scale=0.05))
    assert "The sizes differ" in report.markdown(made, quick)
    assert "The sizes differ" not in report.markdown(made, made)


def test_a_comparison_shows_the_change_of_each_ratio_and_figure_and_marks_what_is_worse() -> None:
    before = report_of(ingest_ours=(100.0, 100.0), ingest_raw=(100.0, 100.0))
    after = report_of(ingest_ours=(80.0, 80.0), ingest_raw=(100.0, 100.0))
    told = report.markdown(after, before)
    assert line_of(told, "COPY of prepared").endswith("| missed, **worse** | 1.00 | -20 % |")
    assert line_of(told, "| ingest.ours |").endswith("| 100 | -20 % |")
    assert "**worse**" not in report.markdown(before, after)


def test_what_was_not_measured_before_has_nothing_to_be_compared_with() -> None:
    told = report.markdown(report_of(ingest_ours=(80.0,)), report_of(ingest_raw=(100.0,)))
    assert line_of(told, "| ingest.ours |").endswith("|  |  |")


def test_a_report_alone_has_no_columns_for_a_comparison() -> None:
    told = report.markdown(report_of(ingest_ours=(12_345.6, 9_000.0, 20_000.0)))
    assert line_of(told, "| ingest.ours |") == "| ingest.ours | orders/s | 12,346 | 9,000 to 20,000 |"


def test_a_report_tells_under_which_load_and_with_what_it_was_made() -> None:
    told = report.markdown(report_of(ingest_ours=(80.0,)))
    assert "2 cores, load average 0.5 before and 2.5 after; orders 0.1.0." in told


def test_bytes_are_told_in_mebibytes() -> None:
    made = report.create({"ingest.ours.memory": Figure("bytes", (128 * 2**20,))}, CIRCUMSTANCES)
    assert "| <= 256.0 MiB | 128.0 MiB |" in report.markdown(made)


def test_what_is_less_than_a_mebibyte_is_told_in_bytes() -> None:
    made = report.create({"memory.entry": Figure("bytes", (1_660.5,))}, CIRCUMSTANCES)
    assert line_of(report.markdown(made), "memory.entry") == "| memory.entry | bytes | 1,660 | 1,660 to 1,660 |"
