"""The report of a benchmark: ratios, tables, the JSON file, and comparisons."""

from pathlib import Path

import pytest
from msgspec import structs

from bench import markdown, report
from bench.figures import Figure, Figures
from bench.ratios import RATIOS, RatioResult
from bench.report import Circumstances, Report
from service.errors import CommandFailed

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
    """Return a report of these figures, with `_` for `.` in their names."""
    named: Figures = {name.replace("_", "."): Figure("orders/s", values) for name, values in figures.items()}
    return report.create(named, CIRCUMSTANCES)


def only(result: Report) -> RatioResult:
    (outcome,) = result.ratios
    return outcome


def line_of(markdown: str, text: str) -> str:
    (line,) = [line for line in markdown.splitlines() if text in line]
    return line


def test_a_ratio_divides_round_by_round() -> None:
    outcome = only(report_of(ingest_orders=(90.0, 9.0, 50.0), ingest_copy=(100.0, 10.0, 50.0)))
    assert (outcome.name, outcome.values, outcome.median) == ("ingest.orders / ingest.copy", (0.9, 0.9, 1.0), 0.9)


def test_a_ratio_of_figures_with_different_rounds_divides_the_medians() -> None:
    assert only(report_of(ingest_orders=(90.0, 80.0, 100.0), ingest_copy=(100.0,))).values == (0.9,)


def test_a_ratio_with_a_missing_figure_is_omitted() -> None:
    assert report_of(ingest_orders=(90.0,)).ratios == ()


def test_a_figure_with_an_absolute_limit_counts_as_a_ratio() -> None:
    assert [each.is_met for each in report_of(latency_idle_p50=(14.0,), latency_idle_p99=(41.0,)).ratios] == [
        True,
        False,
    ]


@pytest.mark.parametrize(("rate", "outcome"), [(90.0, "met"), (89.0, "missed")])
def test_a_goal_is_met_or_missed(rate: float, outcome: str) -> None:
    result = report_of(ingest_orders=(rate,), ingest_copy=(100.0,))
    assert line_of(markdown.render(result), "COPY of prepared").endswith(f"| {outcome} |")


def test_ratios_have_unique_names_and_texts() -> None:
    assert len({each.name for each in RATIOS}) == len({each.text for each in RATIOS}) == len(RATIOS)


def test_a_report_survives_a_round_trip_through_its_file(tmp_path: Path) -> None:
    result = report_of(ingest_orders=(90.0, 80.0), ingest_copy=(100.0, 100.0))
    report.write(result, tmp_path / "bench.json")
    assert report.read(tmp_path / "bench.json") == result


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"figures": {}}'])
def test_a_file_without_a_report_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bench.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandFailed, match=r"bench\.json: not a report of"):
        report.read(path)


def test_a_ratio_is_worse_if_it_fell_by_more_than_its_spread() -> None:
    before = report_of(ingest_orders=(100.0, 98.0, 102.0), ingest_copy=(100.0,) * 3)
    slower = report_of(ingest_orders=(90.0, 88.0, 92.0), ingest_copy=(100.0,) * 3)
    within = report_of(ingest_orders=(97.0, 95.0, 99.0), ingest_copy=(100.0,) * 3)
    assert only(slower).is_worse_than(only(before))
    assert not only(within).is_worse_than(only(before))
    assert not only(before).is_worse_than(only(slower))


def test_for_an_upper_limit_more_is_worse() -> None:
    before, after = report_of(latency_1000_p99=(40.0, 41.0)), report_of(latency_1000_p99=(50.0, 51.0))
    assert only(after).is_worse_than(only(before))
    assert not only(before).is_worse_than(only(after))


def test_runs_of_one_round_cannot_show_a_regression() -> None:
    before, after = report_of(latency_1000_p99=(40.0,)), report_of(latency_1000_p99=(50.0,))
    assert not only(after).is_worse_than(only(before))
    assert only(after).is_worse_than(only(report_of(latency_1000_p99=(40.0, 41.0))))


def test_a_comparison_reports_different_sizes() -> None:
    result = report_of(ingest_orders=(80.0,))
    quick = report.create({}, structs.replace(CIRCUMSTANCES, scale=0.05))
    assert "The sizes differ" in markdown.render(result, quick)
    assert "The sizes differ" not in markdown.render(result, result)


def test_a_comparison_shows_all_changes_and_marks_regressions() -> None:
    before = report_of(ingest_orders=(100.0, 100.0), ingest_copy=(100.0, 100.0))
    after = report_of(ingest_orders=(80.0, 80.0), ingest_copy=(100.0, 100.0))
    text = markdown.render(after, before)
    assert line_of(text, "COPY of prepared").endswith("| missed, **worse** | 1.00 | -20 % |")
    assert line_of(text, "| ingest.orders |").endswith("| 100 | -20 % |")
    assert "**worse**" not in markdown.render(before, after)


def test_a_figure_that_was_not_measured_before_has_empty_cells() -> None:
    text = markdown.render(report_of(ingest_orders=(80.0,)), report_of(ingest_copy=(100.0,)))
    assert line_of(text, "| ingest.orders |").endswith("|  |  |")


def test_without_a_comparison_there_are_no_columns_for_it() -> None:
    text = markdown.render(report_of(ingest_orders=(12_345.6, 9_000.0, 20_000.0)))
    assert line_of(text, "| ingest.orders |") == "| ingest.orders | orders/s | 12,346 | 9,000 to 20,000 |"


def test_a_report_gives_load_averages_and_versions() -> None:
    text = markdown.render(report_of(ingest_orders=(80.0,)))
    assert "2 cores, load average 0.5 before and 2.5 after; orders 0.1.0." in text


def test_bytes_are_shown_in_mebibytes() -> None:
    result = report.create({"ingest.orders.memory": Figure("bytes", (128 * 2**20,))}, CIRCUMSTANCES)
    assert "| <= 256.0 MiB | 128.0 MiB |" in markdown.render(result)


def test_less_than_a_mebibyte_is_shown_in_bytes() -> None:
    result = report.create({"memory.entry": Figure("bytes", (1_660.5,))}, CIRCUMSTANCES)
    assert line_of(markdown.render(result), "memory.entry") == "| memory.entry | bytes | 1,660 | 1,660 to 1,660 |"
