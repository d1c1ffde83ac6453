//! What the sensors said: made up, and the same each time.

use serde::Serialize;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    pub(crate) number: u32,
    pub(crate) bed: &'static str,
    pub(crate) time: String,
    pub(crate) celsius: f64,
    pub(crate) humidity: f64,
}

const BEDS: [&str; 6] = ["Aisle", "Corner", "Door", "North wall", "South wall", "Window"];

pub(crate) fn readings(count: u32) -> Vec<Reading> {
    let mut random: u64 = 42;
    let mut part = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31)
    };
    (1..=count)
        .map(|number| {
            let minutes = number * 7;
            let hour = minutes / 60 % 24;
            let warmth = (f64::from(hour) - 5.0).max(0.0).min(19.0 - f64::from(hour).min(19.0)) * 0.9;
            Reading {
                number,
                bed: BEDS[(part() * BEDS.len() as f64) as usize % BEDS.len()],
                time: format!("{:02}:{:02}", hour, minutes % 60),
                celsius: ((16.0 + warmth + part() * 4.0) * 10.0).round() / 10.0,
                humidity: (78.0 - warmth * 2.0 - part() * 12.0).round(),
            }
        })
        .collect()
}
