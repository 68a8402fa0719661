//! From samples to tables and charts.

mod chart;
mod charts;
mod stats;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::run::Results;

/// Writes `results.json`, `RESULTS.md` and the charts into `folder`.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(
        folder.join("results.json"),
        serde_json::to_vec_pretty(results)?,
    )?;
    let charts = charts::all(results);
    for (name, svg) in &charts {
        fs::write(folder.join(name), svg)?;
    }
    let names: Vec<_> = charts.iter().map(|(name, _)| *name).collect();
    fs::write(folder.join("RESULTS.md"), tables::markdown(results, &names))?;
    Ok(())
}
