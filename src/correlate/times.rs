//! Points in time kept as intervals. In: times of permitted flows. Out: whether one of them lies
//! in a window.
//!
//! Two points are joined where their gap is at most twice the tolerance. A window of a session is
//! at least that long, so it cannot lie inside such a gap: the answer is that of the single points.

/// Ascending intervals of microseconds since 1970, both ends included and both of them points
/// that were added; neighbours lie further apart than the join distance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(Vec<(i64, i64)>);

impl Times {
    /// Adds an interval, joining what lies at most `join` microseconds from it.
    pub fn add(&mut self, first: i64, last: i64, join: i64) {
        let from = self.0.partition_point(|&(_, end)| end.saturating_add(join) < first);
        let rest = self.0.get(from..).unwrap_or_default();
        let reach = last.saturating_add(join);
        let joined = rest.iter().take_while(|&&(start, _)| start <= reach);
        let (mut first, mut last, mut count) = (first, last, 0);
        for &(start, end) in joined {
            first = first.min(start);
            last = last.max(end);
            count += 1;
        }
        self.0.splice(from..from + count, [(first, last)]);
    }

    /// Adds all intervals of another set.
    pub fn merge(&mut self, other: &Self, join: i64) {
        for &(first, last) in &other.0 {
            self.add(first, last, join);
        }
    }

    /// Whether a point lies in the window; exact if the window is at least the join distance long.
    pub fn meets(&self, first: i64, last: i64) -> bool {
        let at = self.0.partition_point(|&(_, end)| end < first);
        self.0.get(at).is_some_and(|&(start, _)| start <= last)
    }

    /// The intervals, ascending.
    pub fn intervals(&self) -> &[(i64, i64)] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latest point.
    pub fn last(&self) -> Option<i64> {
        self.0.last().map(|&(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(points: &[i64], join: i64) -> Times {
        let mut times = Times::default();
        for &point in points {
            times.add(point, point, join);
        }
        times
    }

    #[test]
    fn joins_up_to_the_distance_and_no_further() {
        assert_eq!(of(&[0, 10, 21], 10).intervals(), [(0, 10), (21, 21)]);
        assert_eq!(of(&[0, 20, 10], 10).intervals(), [(0, 20)]);
        assert_eq!(of(&[i64::MIN, i64::MAX], 10).intervals().len(), 2);
    }

    proptest! {
        #[test]
        fn any_order_and_grouping_give_the_same(
            points in prop::collection::vec(0i64..200, 0..30), cut in 0usize..30, join in 0i64..20,
        ) {
            let whole = of(&points, join);
            let cut = cut.min(points.len());
            let mut parts = of(&points[cut..], join);
            parts.merge(&of(&points[..cut], join), join);
            prop_assert_eq!(&parts, &whole);
        }

        #[test]
        fn a_window_of_the_join_distance_is_answered_exactly(
            points in prop::collection::vec(0i64..500, 0..12), start in -20i64..520,
            join in 0i64..30, more in 0i64..30,
        ) {
            let end = start + join + more;
            let naive = points.iter().any(|p| (start..=end).contains(p));
            prop_assert_eq!(of(&points, join).meets(start, end), naive);
        }
    }
}
