//! Medians, their spread, one table.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::process::machine;
use crate::targets::{self, Verdict};

/// Stands where the adapter does for the cases inside one process.
pub(crate) const INSIDE: &str = "core";

/// All figures of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: String,
    pairs: usize,
    /// The counts were tiny: the figures mean nothing.
    quick: bool,
    seconds: u64,
    pub(crate) rows: Vec<Row>,
    verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Micros,
    Millis,
    Kibibytes,
}

impl Unit {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Micros => "µs",
            Self::Millis => "ms",
            Self::Kibibytes => "KiB",
        }
    }
}

/// One case of one adapter, with the figures of each variant in the order of the rounds.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) adapter: String,
    pub(crate) unit: Unit,
    raw: Vec<f64>,
    tuned: Vec<f64>,
    pub(crate) sessions: Vec<f64>,
}

impl Row {
    /// The raw WebSocket to compare with: tuned where the framework lets us.
    pub(crate) fn tuned(&self) -> &[f64] {
        if self.tuned.is_empty() { &self.raw } else { &self.tuned }
    }

    pub(crate) fn is_tuned(&self) -> bool {
        !self.tuned.is_empty()
    }

    pub(crate) fn raw(&self) -> &[f64] {
        &self.raw
    }
}

/// The median; not a number if there is none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median and spread, as short as they can be.
fn cell(figures: &[f64]) -> String {
    if figures.is_empty() {
        return "–".to_owned();
    }
    let (low, high) = figures.iter().fold((f64::MAX, f64::MIN), |(low, high), f| (low.min(*f), high.max(*f)));
    format!("{} ({}–{})", short(median(figures)), short(low), short(high))
}

pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        large if large >= 100.0 => format!("{figure:.0}"),
        middle if middle >= 10.0 => format!("{figure:.1}"),
        small if small >= 0.1 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

impl Report {
    pub(crate) fn new(pairs: usize, quick: bool) -> Self {
        Self { machine: machine(), pairs, quick, seconds: 0, rows: Vec::new(), verdicts: Vec::new() }
    }

    pub(crate) fn add(&mut self, case: &str, adapter: &str, unit: Unit, variant: &str, figure: f64) {
        let known = self.rows.iter().position(|row| row.case == case && row.adapter == adapter);
        let at = known.unwrap_or_else(|| {
            let (case, adapter) = (case.to_owned(), adapter.to_owned());
            let (raw, tuned, sessions) = (Vec::new(), Vec::new(), Vec::new());
            self.rows.push(Row { case, adapter, unit, raw, tuned, sessions });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        let figures = match variant {
            "raw" => &mut row.raw,
            "tuned" => &mut row.tuned,
            _ => &mut row.sessions,
        };
        figures.push(figure);
    }

    /// Judges what there is.
    pub(crate) fn finish(&mut self, took: Duration) {
        self.seconds = took.as_secs();
        // One case below the other, and in it one adapter below the other.
        let cases: Vec<String> = self.rows.iter().map(|row| row.case.clone()).collect();
        self.rows.sort_by_key(|row| cases.iter().position(|case| *case == row.case));
        self.verdicts = self.rows.iter().flat_map(targets::judge).collect();
    }

    pub(crate) fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}; {} rounds in {} s; median (lowest–highest).\n",
            self.machine, self.pairs, self.seconds
        );
        if self.quick {
            out.push_str("Tiny counts: these figures mean nothing.\n\n");
        }
        out.push_str("| case | adapter | raw | raw, 4 KiB | sessions | target | here | met |\n");
        out.push_str("|---|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let mine = |verdict: &&Verdict| verdict.case == row.case && verdict.adapter == row.adapter;
            let verdicts: Vec<_> = self.verdicts.iter().filter(mine).collect();
            let list = |each: &dyn Fn(&Verdict) -> String| {
                verdicts.iter().map(|verdict| each(verdict)).collect::<Vec<_>>().join("; ")
            };
            let _ = writeln!(
                out,
                "| {}, {} | {} | {} | {} | {} | {} | {} | {} |",
                row.case,
                row.unit.symbol(),
                row.adapter,
                cell(&row.raw),
                cell(&row.tuned),
                cell(&row.sessions),
                list(&|verdict| verdict.target.clone()),
                list(&|verdict| short(verdict.measured)),
                list(&|verdict| if verdict.met { "yes" } else { "**no**" }.to_owned()),
            );
        }
        let met = self.verdicts.iter().filter(|verdict| verdict.met).count();
        let _ = writeln!(out, "\n{met} of {} targets are met.", self.verdicts.len());
        out
    }

    pub(crate) fn json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }
}
