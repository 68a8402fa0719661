//! Which measurements make up a run.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::load::{Load, Neighbour, Op};

/// A group of measurements: one section of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    Calls,
    Push,
    Bodies,
    Connections,
    Memory,
    Growth,
    Await,
    Neighbours,
    Allocations,
}

/// One measurement, to be made with every contender that can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub work: Work,
    /// What tells it from the others of its work.
    pub label: String,
    pub load: Load,
    /// Routes beside those that are called.
    pub routes: usize,
    /// Both processes on one CPU.
    pub pinned: bool,
    pub count_allocations: bool,
    /// Only these take part, all if empty.
    pub only: Vec<Contender>,
}

impl Point {
    fn new(work: Work, label: impl Into<String>, load: Load) -> Self {
        let label = label.into();
        Self {
            work,
            label,
            load,
            routes: 0,
            pinned: false,
            count_allocations: false,
            only: Vec::new(),
        }
    }

    /// Whether `contender` takes part.
    pub fn includes(&self, contender: Contender) -> bool {
        contender.can(&self.load) && (self.only.is_empty() || self.only.contains(&contender))
    }
}

/// The measurements of `work`; fewer if `quick`.
pub fn points(work: Work, quick: bool) -> Vec<Point> {
    match work {
        Work::Calls => calls(),
        Work::Push => [1, 64]
            .map(|senders| {
                Point::new(
                    work,
                    format!("{senders} sending"),
                    Load::new(Op::Push, senders),
                )
            })
            .into(),
        Work::Bodies => bodies(quick),
        Work::Connections => connections(quick),
        Work::Memory => memory(quick),
        Work::Growth => growth(quick),
        Work::Await => awaiting(),
        Work::Neighbours => neighbours(),
        Work::Allocations => [64, 1000]
            .map(|in_flight| Point {
                count_allocations: true,
                ..Point::new(
                    work,
                    format!("{in_flight} in flight"),
                    Load::new(Op::Add, in_flight),
                )
            })
            .into(),
    }
}

fn calls() -> Vec<Point> {
    let add = |in_flight| {
        Point::new(
            Work::Calls,
            format!("{in_flight} in flight"),
            Load::new(Op::Add, in_flight),
        )
    };
    let mut points = vec![Point {
        label: "1 in flight, one CPU".into(),
        pinned: true,
        ..add(1)
    }];
    points.extend([1, 64, 1000, 10_000].map(add));
    points
}

/// Eight bodies are under way at a time, so that neither side waits for the other.
fn bodies(quick: bool) -> Vec<Point> {
    let point = |(payload, name): (usize, &str), gzip| {
        let label = if gzip {
            format!("{name}, gzip")
        } else {
            name.to_owned()
        };
        Point::new(
            Work::Bodies,
            label,
            Load {
                payload,
                gzip,
                ..Load::new(Op::Echo, 8)
            },
        )
    };
    let sizes = [
        (64, "64 B"),
        (1 << 10, "1 KiB"),
        (16 << 10, "16 KiB"),
        (64 << 10, "64 KiB"),
        (1 << 20, "1 MiB"),
        (16 << 20, "16 MiB"),
    ];
    let sizes = if quick { &sizes[4..5] } else { &sizes[..] };
    let compressed = sizes
        .iter()
        .filter(|size| [1 << 10, 64 << 10, 1 << 20].contains(&size.0));
    let plain = sizes.iter().map(|&size| point(size, false));
    plain
        .chain(compressed.map(|&size| point(size, true)))
        .collect()
}

fn connections(quick: bool) -> Vec<Point> {
    let counts: &[usize] = if quick {
        &[100]
    } else {
        &[1, 10, 100, 1000, 10_000]
    };
    let point = |&sessions: &usize| {
        let load = Load {
            sessions,
            ..Load::new(Op::Add, 4)
        };
        Point::new(Work::Connections, format!("{sessions} sessions"), load)
    };
    counts.iter().map(point).collect()
}

fn memory(quick: bool) -> Vec<Point> {
    let counts: &[usize] = if quick { &[100] } else { &[1000, 10_000] };
    let point = |&sessions: &usize| Point {
        count_allocations: true,
        ..Point::new(
            Work::Memory,
            format!("{sessions} idle sessions"),
            Load {
                sessions,
                ..Load::new(Op::Idle, 1)
            },
        )
    };
    counts.iter().map(point).collect()
}

/// What the curves over calls in flight and routes need beside the other work.
fn growth(quick: bool) -> Vec<Point> {
    let in_flight: &[usize] = if quick { &[16] } else { &[4, 16, 256, 4000] };
    let routes: &[usize] = if quick {
        &[10, 10_000]
    } else {
        &[10, 100, 1000, 10_000]
    };
    let by_load = in_flight.iter().map(|&count| {
        Point::new(
            Work::Growth,
            format!("{count} in flight"),
            Load::new(Op::Add, count),
        )
    });
    let by_routes = routes.iter().map(|&routes| Point {
        routes,
        only: vec![Contender::Teleport],
        ..Point::new(
            Work::Growth,
            format!("{routes} routes"),
            Load::new(Op::Add, 64),
        )
    });
    by_load.chain(by_routes).collect()
}

fn awaiting() -> Vec<Point> {
    let mut points = Vec::new();
    for (op, name) in [
        (Op::Yield, "yield"),
        (Op::Channel, "channel"),
        (Op::Nested, "nested call"),
    ] {
        for in_flight in [1, 64, 1000] {
            let label = format!("{name}, {in_flight} in flight");
            points.push(Point::new(Work::Await, label, Load::new(op, in_flight)));
        }
    }
    points
}

/// 3,200 calls a second, which leaves both CPUs mostly idle: what delays them is then the neighbour.
fn neighbours() -> Vec<Point> {
    let with = [
        (None, "none"),
        (Some(Neighbour::Sleeps), "sleeps 10 ms"),
        (Some(Neighbour::Computes), "computes 10 ms"),
    ];
    let rivals = vec![Contender::Teleport, Contender::Tarpc, Contender::Tonic];
    with.map(|(neighbour, name)| Point {
        only: rivals.clone(),
        ..Point::new(
            Work::Neighbours,
            name,
            Load {
                every: 5000,
                neighbour,
                ..Load::new(Op::Add, 16)
            },
        )
    })
    .into()
}
