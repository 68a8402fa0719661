//! Medians and spreads over rounds.

use crate::contender::Contender;
use crate::load::Op;
use crate::process::Measured;
use crate::run::Series;

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// `None` for no figures at all.
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (&min, &max) = (figures.first()?, figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            (figures[middle - 1] + figures[middle]) / 2.0
        };
        Some(Self { min, median, max })
    }
}

impl Series {
    /// Who took part, in the order of the turns.
    pub fn contenders(&self) -> Vec<Contender> {
        let mut contenders = Vec::new();
        for sample in &self.samples {
            if !contenders.contains(&sample.contender) {
                contenders.push(sample.contender);
            }
        }
        contenders
    }

    /// `figure` of one contender over the rounds that succeeded.
    pub fn spread(
        &self,
        contender: Contender,
        figure: impl Fn(&Measured) -> f64,
    ) -> Option<Spread> {
        let of_contender = self
            .samples
            .iter()
            .filter(|sample| sample.contender == contender);
        Spread::of(
            of_contender
                .filter_map(|sample| sample.outcome.as_ref().ok())
                .map(figure)
                .collect(),
        )
    }

    /// `figure` of one contender as a multiple of another's, taken round by round: what drifts from round to round
    /// drifts for both.
    pub fn ratio(
        &self,
        of: Contender,
        to: Contender,
        figure: impl Fn(&Measured) -> f64,
    ) -> Option<Spread> {
        let in_round = |round, contender| {
            let sample = self
                .samples
                .iter()
                .find(|sample| sample.round == round && sample.contender == contender)?;
            sample.outcome.as_ref().ok().map(&figure)
        };
        let rounds = self.samples.iter().filter(|sample| sample.contender == of);
        let ratios = rounds
            .filter_map(|sample| Some(in_round(sample.round, of)? / in_round(sample.round, to)?));
        Spread::of(ratios.collect())
    }

    /// Why a contender has fewer samples than rounds, and how many it lacks.
    pub fn failures(&self, contender: Contender) -> (usize, Option<&str>) {
        let of_contender = self
            .samples
            .iter()
            .filter(|sample| sample.contender == contender);
        let mut failures = of_contender.filter_map(|sample| sample.outcome.as_ref().err());
        let first = failures.next();
        (
            first.iter().len() + failures.count(),
            first.map(String::as_str),
        )
    }

    /// What a second is full of: calls, or bytes of bodies there and back.
    pub fn rate(&self, measured: &Measured) -> f64 {
        let calls = measured.count as f64 / measured.seconds;
        match self.point.load.op {
            Op::Echo => calls * 2.0 * self.point.load.payload as f64,
            _ => calls,
        }
    }
}

/// CPU time of both sides for one call, in microseconds.
pub fn cpu_micros(measured: &Measured) -> f64 {
    (measured.client.cpu_seconds + measured.server.cpu_seconds) * 1e6 / measured.count as f64
}

/// CPUs that both sides together were running on.
pub fn cpus(measured: &Measured) -> f64 {
    (measured.client.cpu_seconds + measured.server.cpu_seconds) / measured.seconds
}

/// CPUs that were taken by others: they distort what was measured meanwhile.
pub fn cpus_of_others(measured: &Measured) -> f64 {
    (measured.machine_cpu_seconds / measured.seconds - cpus(measured)).max(0.0)
}
