//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::{Effort, Result, Times};

/// The media type of the JSON document, as its `schema` carries it.
const SCHEMA: &str = "urn:hekate:benchmark:1";

/// The JSON document.
pub(crate) fn document(results: &[Result], effort: Effort) -> Value {
    let times = |times: Times| json!({"minimum": rounded(times.minimum, 1), "median": rounded(times.median, 1)});
    let cases: Vec<Value> = results
        .iter()
        .map(|result| {
            json!({
                "name": result.name,
                "status": result.status,
                "verificationsPerSecond": rounded(result.per_second(), 0),
                "microseconds": {
                    "verification": times(result.full),
                    "signatureOperations": times(result.limit),
                    "distinctSignatureOperations": times(result.distinct_limit),
                },
                "signatureOperations": result.operations,
                "distinctSignatureOperations": result.distinct,
                "ratio": rounded(result.ratio, 3),
                "distinctRatio": rounded(result.distinct_ratio, 3),
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "rounds": effort.rounds,
        "cases": cases,
    })
}

/// The table.
pub(crate) fn table(results: &[Result], effort: Effort, notes: &[&str]) -> String {
    let header = [
        "case",
        "verdict",
        "per second",
        "full µs",
        "operations",
        "limit µs",
        "ratio",
        "distinct",
        "limit µs",
        "ratio",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(results.iter().map(row));
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();

    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            // Words to the left, numbers to the right.
            if matches!(column, 0 | 1 | 4 | 7) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = write!(
        text,
        "\nMinimum / median of {} rounds in processor time of one thread; a ratio is the median of the rounds' own.\n\
         Full is from the collected documents to the verdict; fetching them and hashing the tarball are not in it.\n\
         The limit is its signature operations done by aws-lc-rs alone; distinct leaves out those that it repeats.",
        effort.rounds
    );
    for note in notes {
        let _ = write!(text, "\n{note}.");
    }
    text
}

fn row(result: &Result) -> [String; 10] {
    let times = |times: Times| format!("{:.0} / {:.0}", times.minimum, times.median);
    [
        result.name.clone(),
        result.status.to_string(),
        format!("{:.0}", result.per_second()),
        times(result.full),
        operations(&result.operations),
        times(result.limit),
        format!("{:.2}", result.ratio),
        operations(&result.distinct),
        times(result.distinct_limit),
        format!("{:.2}", result.distinct_ratio),
    ]
}

/// `10: 9 P-256, 1 P-384`.
fn operations(counts: &BTreeMap<&str, usize>) -> String {
    let each: Vec<String> = counts.iter().map(|(curve, count)| format!("{count} {curve}")).collect();
    format!("{}: {}", counts.values().sum::<usize>(), each.join(", "))
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
