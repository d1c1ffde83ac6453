//! A greenhouse: what can be set in it.

use std::fmt;

use bonito_core::Observable;
use serde::Serialize;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) enum Crop {
    Tomatoes,
    Cucumbers,
    Basil,
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tomatoes => "Tomatoes",
            Self::Cucumbers => "Cucumbers",
            Self::Basil => "Basil",
        })
    }
}

/// The settings of one visitor.
#[derive(Clone, Debug)]
pub(crate) struct Greenhouse {
    pub(crate) name: Observable<String>,
    pub(crate) crop: Observable<Crop>,
    pub(crate) plants: Observable<u32>,
    pub(crate) notes: Observable<String>,
    /// In degrees Celsius.
    pub(crate) temperature: Observable<f64>,
    /// In percent, from and to.
    pub(crate) humidity: Observable<(u8, u8)>,
    pub(crate) watering: Observable<bool>,
    /// How long, in minutes a day.
    pub(crate) minutes: Observable<u32>,
}

impl Greenhouse {
    pub(crate) fn new() -> Self {
        Self {
            name: Observable::new("North house".to_owned()),
            crop: Observable::new(Crop::Tomatoes),
            plants: Observable::new(48),
            notes: Observable::new(String::new()),
            temperature: Observable::new(21.5),
            humidity: Observable::new((55, 75)),
            watering: Observable::new(true),
            minutes: Observable::new(12),
        }
    }

    pub(crate) fn reset(&self) {
        let first = Self::new();
        self.name.set(first.name.get());
        self.crop.set(first.crop.get());
        self.plants.set(first.plants.get());
        self.notes.set(first.notes.get());
        self.temperature.set(first.temperature.get());
        self.humidity.set(first.humidity.get());
        self.watering.set(first.watering.get());
        self.minutes.set(first.minutes.get());
    }
}
