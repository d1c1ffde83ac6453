//! A signal: a few sines and noise.

use std::collections::VecDeque;
use std::f64::consts::TAU;

/// Samples a second.
pub(crate) const RATE: u32 = 200;
/// How much of the past is kept: four seconds.
pub(crate) const WINDOW: usize = 4 * RATE as usize;

/// Partials of the tone: frequency relative to the first, amplitude.
const PARTIALS: [(f64, f64); 3] = [(1.0, 0.6), (2.0, 0.22), (3.5, 0.12)];

/// An oscillator and its latest [`WINDOW`] samples.
#[derive(Debug)]
pub(crate) struct Signal {
    samples: VecDeque<f32>,
    /// In turns. Each partial has its own, so that a change of frequency makes no jump.
    phases: [f64; PARTIALS.len()],
    random: u64,
}

impl Signal {
    pub(crate) fn new(seed: u64) -> Self {
        Self { samples: vec![0.0; WINDOW].into(), phases: [0.0; PARTIALS.len()], random: seed | 1 }
    }

    /// Goes on by so many samples.
    pub(crate) fn advance(&mut self, count: usize, frequency: f64, noise: f64) {
        for _ in 0..count {
            let tone: f64 = PARTIALS
                .iter()
                .zip(&mut self.phases)
                .map(|((ratio, amplitude), phase)| {
                    *phase = (*phase + ratio * frequency / f64::from(RATE)).fract();
                    amplitude * (TAU * *phase).sin()
                })
                .sum();
            let sample = tone + noise * self.next_noise();
            self.samples.pop_front();
            self.samples.push_back(sample as f32);
        }
    }

    /// The oldest first.
    pub(crate) fn window(&self) -> Vec<f32> {
        self.samples.iter().copied().collect()
    }

    /// Between −1 and 1, more often near the middle.
    fn next_noise(&mut self) -> f64 {
        (self.next_uniform() + self.next_uniform() + self.next_uniform()) / 1.5 - 1.0
    }

    /// Between 0 and 1 (xorshift64*).
    fn next_uniform(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let mut signal = Signal::new(1);
        signal.advance(WINDOW, 1.0, 0.0);
        let before = signal.window();
        signal.advance(10, 1.0, 0.0);
        let after = signal.window();
        assert_eq!(after.len(), WINDOW);
        assert_eq!(before[10..], after[..WINDOW - 10]);
    }

    #[test]
    fn a_change_of_frequency_makes_no_jump() {
        let mut signal = Signal::new(1);
        signal.advance(WINDOW / 2, 0.5, 0.0);
        signal.advance(WINDOW / 2, 5.0, 0.0);
        let steepest = signal.window().windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.3, "{steepest}");
    }

    #[test]
    fn noise_stays_within_its_bounds_and_centred() {
        let mut signal = Signal::new(42);
        signal.advance(WINDOW, 0.0, 1.0);
        let window = signal.window();
        assert!(window.iter().all(|sample| sample.abs() <= 1.0));
        let mean = window.iter().sum::<f32>() / WINDOW as f32;
        assert!(mean.abs() < 0.1, "{mean}");
        assert!(window.iter().any(|sample| sample.abs() > 0.4));
    }

    #[test]
    fn no_frequency_is_silence() {
        let mut signal = Signal::new(7);
        signal.advance(WINDOW, 0.0, 0.0);
        assert!(signal.window().iter().all(|sample| *sample == 0.0));
    }
}
