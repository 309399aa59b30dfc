//! What many short times come to.

use super::rounded;
use std::time::Duration;

/// Times in microseconds, sorted.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<u32>);

impl Latencies {
    pub(super) fn new(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        Self(micros)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time in milliseconds that so many percent do not exceed (nearest rank); 0 when there are none.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = self.0.len().saturating_mul(percent).div_ceil(100).max(1);
        let micros = self.0.get(rank - 1).copied().unwrap_or_default();
        rounded(f64::from(micros) / 1_000.0, 3)
    }
}

/// A time as [`Latencies`] keeps it.
pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "thousands of a whole number of microseconds")]
    fn percentiles_are_those_of_the_nearest_rank() {
        let hundred = Latencies::new((1..=100).rev().map(|n| n * 1_000).collect());
        assert_eq!((hundred.percentile_ms(50), hundred.percentile_ms(99), hundred.percentile_ms(100)), (50.0, 99.0, 100.0));
        let one = Latencies::new(vec![1_500]);
        assert_eq!((one.percentile_ms(50), one.percentile_ms(99)), (1.5, 1.5));
        assert_eq!(Latencies::default().percentile_ms(99), 0.0);
    }
}
