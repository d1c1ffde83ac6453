//! The bench runs: every case of every adapter gives figures, and every target is judged.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_case_runs_on_every_adapter() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let (json, markdown) = (format!("{directory}/smoke.json"), format!("{directory}/smoke.md"));
    let output = Command::new(env!("CARGO_BIN_EXE_bonito-bench"))
        .args(["--quick", "--json", &json, "--markdown", &markdown])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap();
    for adapter in ["actix", "axum", "hyper", "warp"] {
        let mine: Vec<&Value> = rows.iter().filter(|row| row["adapter"] == adapter).collect();
        assert_eq!(mine.len(), 12, "{adapter}");
        for row in mine {
            let count = |variant: &str| row[variant].as_array().unwrap().len();
            let tuned = usize::from(matches!(adapter, "axum" | "hyper"));
            assert_eq!((count("raw"), count("tuned"), count("sessions")), (1, tuned, 1), "{row}");
        }
    }
    assert_eq!(rows.iter().filter(|row| row["adapter"] == "core").count(), 5);
    // 13 targets over the network for each adapter, with two for each burst, and 3 in one process.
    assert_eq!(report["verdicts"].as_array().unwrap().len(), 4 * 14 + 3);

    let table = std::fs::read_to_string(markdown).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 1 + rows.len());
    assert!(table.contains("Tiny counts"));
}
