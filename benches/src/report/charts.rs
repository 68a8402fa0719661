//! Which charts there are.

use super::chart::{Chart, Line};
use crate::contender::Contender;
use crate::load::{Load, Op};
use crate::run::plan::{Point, Work};
use crate::run::{Results, Series};

/// All charts for which there are figures, by file name.
pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    let one_session = |point: &Point| {
        let plain = Load {
            in_flight: point.load.in_flight,
            ..Load::new(Op::Add, 1)
        };
        matches!(point.work, Work::Calls | Work::Growth)
            && point.load == plain
            && point.routes == 0
            && !point.pinned
    };
    let charts = [
        (
            "calls.svg",
            chart(
                results,
                "Calls on one connection",
                "calls in flight",
                "calls per second",
                one_session,
                |point| point.load.in_flight,
            ),
        ),
        (
            "bodies.svg",
            chart(
                results,
                "Bodies there and back",
                "bytes of one body",
                "bytes per second",
                |point| point.work == Work::Bodies && !point.load.gzip,
                |point| point.load.payload,
            ),
        ),
        (
            "sessions.svg",
            chart(
                results,
                "Calls over many sessions",
                "sessions, 4 calls in flight on each",
                "calls per second",
                |point| point.work == Work::Connections,
                |point| point.load.sessions,
            ),
        ),
        (
            "routes.svg",
            chart(
                results,
                "Calls against routes",
                "routes of the server",
                "calls per second",
                |point| point.routes > 0,
                |point| point.routes,
            ),
        ),
    ];
    charts
        .into_iter()
        .filter_map(|(name, chart)| Some((name, chart?.svg())))
        .collect()
}

/// The medians of all points that `which` picks, by `x`.
fn chart(
    results: &Results,
    title: &'static str,
    x_label: &'static str,
    y_label: &'static str,
    which: impl Fn(&Point) -> bool,
    x: impl Fn(&Point) -> usize,
) -> Option<Chart> {
    let mut picked: Vec<&Series> = results
        .series
        .iter()
        .filter(|series| which(&series.point))
        .collect();
    picked.sort_by_key(|series| x(&series.point));
    let mut contenders: Vec<Contender> = picked
        .iter()
        .flat_map(|series| series.contenders())
        .collect();
    contenders.sort();
    contenders.dedup();
    let line = |contender: &Contender| {
        let dots = picked.iter().filter_map(|series| {
            let rate = series.spread(*contender, |measured| series.rate(measured))?;
            Some((x(&series.point) as f64, rate.median))
        });
        Line {
            name: contender.name(),
            color: color(*contender),
            dots: dots.collect(),
        }
    };
    let lines: Vec<_> = contenders
        .iter()
        .map(line)
        .filter(|line| line.dots.len() > 1)
        .collect();
    (!lines.is_empty()).then_some(Chart {
        title,
        x_label,
        y_label,
        lines,
    })
}

fn color(contender: Contender) -> &'static str {
    match contender {
        Contender::Echo => "#9aa3ad",
        Contender::Raw => "#30363d",
        Contender::Teleport => "#d1491b",
        Contender::TeleportJson => "#eb9b34",
        Contender::TeleportUntyped => "#8f3b76",
        Contender::Tarpc => "#2e7fb8",
        Contender::Tonic => "#3a9d5d",
    }
}
