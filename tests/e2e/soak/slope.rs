//! The straight line through a series of measurements, by least squares, and the doubt about its slope.

/// A line through points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub at_zero: f64,
    /// Standard error of the slope.
    pub error: f64,
}

impl Line {
    /// Fits a line through at least three points, not all at one x.
    pub fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let spread = sum(&|x, _| x * x);
        let slope = sum(&|x, y| x * y) / spread;
        let left = sum(&|x, y| (y - slope * x).powi(2));
        let error = (left / (count - 2.0) / spread).sqrt();
        Self { slope, at_zero: mean_y - slope * mean_x, error }
    }

    /// The least slope that the points leave likely: three standard errors below the fitted one.
    pub fn at_least(&self) -> f64 {
        self.slope - 3.0 * self.error
    }

    /// The largest slope that the points leave likely.
    pub fn at_most(&self) -> f64 {
        self.slope + 3.0 * self.error
    }

    pub fn at(&self, x: f64) -> f64 {
        self.at_zero + self.slope * x
    }
}

/// Returns numbers from -1 to 1 that have no trend, the same each time.
#[cfg(test)]
fn noise() -> impl Iterator<Item = f64> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(move || random.f64() * 2.0 - 1.0)
}

#[test]
fn exact_line_has_no_error() {
    let points: Vec<_> = (0..45).map(|x| (f64::from(x), 3.0 * f64::from(x) - 7.0)).collect();
    let line = Line::through(&points);
    assert!((line.slope - 3.0).abs() < 1e-9 && (line.at_zero + 7.0).abs() < 1e-9, "{line:?}");
    assert!(line.error < 1e-9 && (line.at(2.0) + 1.0).abs() < 1e-9, "{line:?}");
}

#[test]
fn noise_alone_is_no_slope() {
    let points: Vec<_> = (0..45).map(f64::from).zip(noise()).collect();
    let line = Line::through(&points);
    assert!(line.at_least() < 0.0 && line.at_most() > 0.0, "{line:?}");
}

#[test]
fn leak_shows_through_noise() {
    let leak = (0..45).map(f64::from).zip(noise());
    let points: Vec<_> = leak.map(|(x, noise)| (x, 100.0 + 0.2 * x + noise)).collect();
    let line = Line::through(&points);
    assert!(line.at_least() > 0.1 && line.at_most() < 0.3, "{line:?}");
}
