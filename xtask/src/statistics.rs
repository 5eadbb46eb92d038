//! Numbers made of measurements.

/// Measured values, sorted. There is at least one.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// None where nothing was measured.
    pub(crate) fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self { values })
    }

    /// How many were measured.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value below which this share (0 to 1) lies, interpolated between the two nearest: method 7 of
    /// Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996).
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.values.len() - 1;
        #[expect(clippy::cast_precision_loss, reason = "there are never 2^52 measurements")]
        let position = share.clamp(0.0, 1.0) * last as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and the length"
        )]
        let below = position.floor() as usize;
        let above = (below + 1).min(last);
        self.values[below] + (self.values[above] - self.values[below]) * position.fract()
    }
}

/// Seconds as `0.42 ms`.
pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// A generator of the order in which runs alternate: splitmix64 (Steele, Lea, Flood, 2014).
#[derive(Debug)]
pub(crate) struct Shuffle(pub(crate) u64);

impl Shuffle {
    /// The numbers below `len`, in an order that is drawn (Fisher and Yates).
    pub(crate) fn order(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            // A share of 2^64 that is not whole is too small to be seen.
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
            let other = (self.next() % (last as u64 + 1)) as usize;
            order.swap(last, other);
        }
        order
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_nearest_values() {
        let sample = Sample::new(vec![4.0, 1.0, 3.0, 2.0]).expect("not empty");
        let close = |share: f64, expected: f64| (sample.quantile(share) - expected).abs() < 1e-9;
        assert!(close(0.0, 1.0) && close(1.0, 4.0) && close(0.5, 2.5) && close(0.99, 3.97));
        assert_eq!(sample.len(), 4);
    }

    #[test]
    fn one_value_is_every_quantile_and_none_is_no_sample() {
        let sample = Sample::new(vec![7.0]).expect("not empty");
        assert!((sample.quantile(0.99) - 7.0).abs() < f64::EPSILON);
        assert!(Sample::new(Vec::new()).is_none());
    }

    #[test]
    fn each_order_is_drawn_about_as_often_and_holds_each_number_once() {
        let mut shuffle = Shuffle(1);
        let mut first = [0; 3];
        for _ in 0..3000 {
            let order = shuffle.order(3);
            first[order[0]] += 1;
            let mut sorted = order;
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
        assert!(first.iter().all(|times| (900..1100).contains(times)), "{first:?}");
    }
}
