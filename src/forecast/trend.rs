//! A robust line through points of time: the median of the slopes of all pairs (Theil and Sen). Up to three of ten
//! points may be anywhere.

/// Returns the slope, in units of the values per day; `None` for fewer than two times. Points are days and values.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (index, (from, before)) in points.iter().enumerate() {
        for (to, after) in &points[index + 1..] {
            if to > from {
                slopes.push((after - before) / (to - from));
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    let middle = slopes.len() / 2;
    match slopes.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(slopes[middle]),
        _ => Some(f64::midpoint(slopes[middle - 1], slopes[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_ignores_three_wild_points_of_fourteen() {
        let mut points: Vec<(f64, f64)> =
            (0..14).map(|day| (f64::from(day), 5.0 * f64::from(day) + 100.0)).collect();
        assert_eq!(slope(&points), Some(5.0));
        points[3].1 = 1e9;
        points[7].1 = -1e9;
        points[12].1 = 0.0;
        let found = slope(&points).unwrap();
        assert!((4.0..=6.0).contains(&found), "{found}");
    }

    #[test]
    fn slope_needs_two_times() {
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(1.0, 5.0), (1.0, 9.0)]), None);
        assert_eq!(slope(&[(1.0, 5.0), (2.0, 3.0)]), Some(-2.0));
    }
}
