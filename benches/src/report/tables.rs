//! `RESULTS.md`.

use std::fmt::Write as _;

use super::stats::{Spread, cpu_micros, cpus, cpus_of_others};
use crate::contender::Contender;
use crate::process::Measured;
use crate::run::plan::Work;
use crate::run::{Results, Series};

/// A measurement during which others took more CPUs than this is marked.
const DISTURBED: f64 = 0.15;

/// The whole page; `charts` are file names beside it.
pub fn markdown(results: &Results, charts: &[&str]) -> String {
    let machine = &results.machine;
    let mut page = format!(
        "# Results\n\n{} x {}, Linux {}, {}; load average {} when the run began. Server and client are separate \
         processes on loopback, two tokio workers each. {} rounds of {} s each, contenders taking turns; medians, \
         `min..max` over the rounds. Ratios are taken round by round, and their median is shown: absolute figures \
         drift on a shared machine, ratios less. A difference smaller than the spread is not a difference.\n\n",
        machine.cores,
        machine.cpu,
        machine.kernel,
        machine.rustc,
        machine.load,
        results.rounds,
        results.seconds,
    );
    for chart in charts {
        let _ = writeln!(page, "![{}]({chart})", chart.trim_end_matches(".svg"));
    }
    let mut current = None;
    for series in &results.series {
        let work = series.point.work;
        if current.replace(work) != Some(work) {
            let _ = write!(page, "\n## {}\n", title(work));
        }
        let _ = write!(page, "\n### {}\n\n", series.point.label);
        match work {
            Work::Memory => memory(&mut page, series),
            Work::Allocations => allocations(&mut page, series),
            _ => rates(&mut page, series),
        }
    }
    page
}

fn title(work: Work) -> &'static str {
    match work {
        Work::Calls => "Calls: `{a, b} -> {a + b, a - b}` on one connection",
        Work::Push => "Push: one-way messages, from sender to handler",
        Work::Bodies => "Bodies: there and back, eight at a time, bytes of both directions",
        Work::Connections => "Connections: four calls in flight on each session",
        Work::Memory => "Memory: idle sessions after one call each",
        Work::Growth => "Growth",
        Work::Await => "Handlers that await",
        Work::Neighbours => {
            "Slow neighbours: 3,200 calls a second beside a slow one 20 times a second, on one session"
        }
        Work::Allocations => "Allocations for one call, after the warm-up",
    }
}

fn rates(page: &mut String, series: &Series) {
    let bytes = series.point.work == Work::Bodies;
    let unit = if bytes { "MiB/s" } else { "per second" };
    let timed = series.point.work != Work::Push;
    let scale = if bytes { 1.0 / 1_048_576.0 } else { 1.0 };
    let latency = if timed {
        " p50 us | p99 us | p99.9 us |"
    } else {
        ""
    };
    let rules = if timed { "--:|--:|--:|" } else { "" };
    let _ = writeln!(
        page,
        "| | {unit} | spread | x raw | CPU us per call | CPUs used |{latency} peak MiB, server + client |"
    );
    let _ = writeln!(page, "|---|--:|--:|--:|--:|--:|{rules}--:|");
    for contender in series.contenders() {
        let Some(rate) = series.spread(contender, |measured| series.rate(measured) * scale) else {
            failed(page, series, contender);
            continue;
        };
        let median = |figure: &dyn Fn(&Measured) -> f64| {
            series
                .spread(contender, figure)
                .map_or(f64::NAN, |spread| spread.median)
        };
        let ratio = series.ratio(contender, Contender::Raw, |measured| series.rate(measured));
        let _ = write!(
            page,
            "| {} | {} | {}..{} | {} | {:.2} | {:.2} |",
            contender.name(),
            grouped(rate.median),
            grouped(rate.min),
            grouped(rate.max),
            ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median)),
            median(&cpu_micros),
            median(&cpus),
        );
        if timed {
            for figure in [
                |m: &Measured| m.latency.p50,
                |m: &Measured| m.latency.p99,
                |m: &Measured| m.latency.p999,
            ] {
                let _ = write!(page, " {:.1} |", median(&figure));
            }
        }
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let _ = writeln!(
            page,
            " {:.0} + {:.0} |",
            median(&|m| mib(m.server.peak_rss_bytes)),
            median(&|m| mib(m.client.peak_rss_bytes)),
        );
    }
    notes(page, series);
}

fn memory(page: &mut String, series: &Series) {
    let _ = writeln!(
        page,
        "| bytes for each session | heap, server | heap, client | resident, server | resident, client |"
    );
    let _ = writeln!(page, "|---|--:|--:|--:|--:|");
    per_count(
        page,
        series,
        0,
        [
            |m| m.server.heap_bytes as f64,
            |m| m.client.heap_bytes as f64,
            |m| m.server.rss_bytes as f64,
            |m| m.client.rss_bytes as f64,
        ],
    );
}

fn allocations(page: &mut String, series: &Series) {
    let _ = writeln!(
        page,
        "| allocations for each call | server | client | both |"
    );
    let _ = writeln!(page, "|---|--:|--:|--:|");
    per_count(
        page,
        series,
        3,
        [
            |m| m.server.allocations as f64,
            |m| m.client.allocations as f64,
            |m| (m.server.allocations + m.client.allocations) as f64,
        ],
    );
}

/// A table of figures divided by the calls or sessions of the measurement.
fn per_count<const N: usize>(
    page: &mut String,
    series: &Series,
    digits: usize,
    figures: [fn(&Measured) -> f64; N],
) {
    for contender in series.contenders() {
        let of = |figure: &fn(&Measured) -> f64| {
            series.spread(contender, |m| figure(m) / m.count as f64)
        };
        let row: Option<Vec<Spread>> = figures.iter().map(of).collect();
        let Some(row) = row else {
            failed(page, series, contender);
            continue;
        };
        let cells: Vec<_> = row
            .iter()
            .map(|spread| format!("{:.digits$}", spread.median))
            .collect();
        let _ = writeln!(page, "| {} | {} |", contender.name(), cells.join(" | "));
    }
    notes(page, series);
}

fn failed(page: &mut String, series: &Series, contender: Contender) {
    let (_, why) = series.failures(contender);
    let _ = writeln!(
        page,
        "| {} | failed: {} |",
        contender.name(),
        why.unwrap_or("no sample")
    );
}

/// What to know about these rows: who did not finish all rounds, and whose CPUs others took.
fn notes(page: &mut String, series: &Series) {
    for contender in series.contenders() {
        if let Some(others) = series.spread(contender, cpus_of_others)
            && others.max > DISTURBED
        {
            let name = contender.name();
            let _ = writeln!(
                page,
                "\nDisturbed: {name}; others took up to {:.2} CPUs.",
                others.max
            );
        }
    }
    for contender in series.contenders() {
        if let (count @ 1.., Some(why)) = series.failures(contender) {
            let _ = writeln!(
                page,
                "\n{}: {count} rounds failed, the first with \"{why}\".",
                contender.name()
            );
        }
    }
}

/// A whole number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
