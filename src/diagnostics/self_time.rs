//! How much of a span's time was its own: what is left when the time of the spans within it is taken away. Those may
//! overlap each other, and last longer than the one they began in.

/// A stretch of time, in nanoseconds.
pub type Stretch = (i64, i64);

/// What of `whole` none of `within` covers, in order.
pub fn own(whole: Stretch, mut within: Vec<Stretch>) -> Vec<Stretch> {
    within.sort_unstable();
    let (mut from, to) = whole;
    let mut own = Vec::new();
    for (start, end) in within {
        if start >= to {
            break;
        }
        if start > from {
            own.push((from, start));
        }
        from = from.max(end);
    }
    if from < to {
        own.push((from, to));
    }
    own
}

/// How long these stretches are together.
pub fn length(stretches: &[Stretch]) -> i64 {
    stretches.iter().map(|(start, end)| end.saturating_sub(*start).max(0)).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_one_s_own_where_nothing_within_runs() {
        assert_eq!(own((0, 100), vec![]), [(0, 100)]);
        assert_eq!(own((0, 100), vec![(40, 60), (10, 20)]), [(0, 10), (20, 40), (60, 100)]);
        assert_eq!(own((0, 100), vec![(10, 50), (20, 30), (40, 70)]), [(0, 10), (70, 100)], "they overlap");
        assert_eq!(own((0, 100), vec![(-10, 20), (90, 200)]), [(20, 90)], "they stick out");
        assert_eq!(own((0, 100), vec![(0, 100)]), []);
        assert_eq!(own((0, 100), vec![(200, 300), (-9, -3)]), [(0, 100)], "they are elsewhere");
        assert_eq!(own((5, 5), vec![]), []);
    }

    #[test]
    fn own_time_and_that_of_others_are_the_whole_time() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) % below) as i64
        };
        for _ in 0..500 {
            let within: Vec<Stretch> = (0..next(6))
                .map(|_| {
                    let start = next(60) - 10;
                    (start, start + next(30))
                })
                .collect();
            let covered = (0..50).filter(|at| within.iter().any(|(start, end)| start <= at && at < end)).count() as i64;
            assert_eq!(length(&own((0, 50), within.clone())) + covered, 50, "{within:?}");
        }
    }
}
