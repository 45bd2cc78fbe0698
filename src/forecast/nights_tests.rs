//! Nights of a pool that a small world fills and frees.

use super::*;
use crate::night::Zone;

const TB: i64 = 1_000_000_000_000;

/// A pool at which the tests poll every half hour, and what it does.
struct World {
    zone: Zone,
    history: History,
    /// Hours since 1970 at which it is.
    hour: f64,
    used: i64,
    limit: i64,
}

impl World {
    fn new(used: i64, limit: i64) -> Self {
        // A Thursday, 12:00.
        Self { zone: Zone::utc(), history: History::default(), hour: 12.0, used, limit }
    }

    fn night(&self) -> Night {
        self.zone.night_of(self.ms()).unwrap()
    }

    #[allow(clippy::cast_possible_truncation, reason = "whole half hours")]
    fn ms(&self) -> i64 {
        (self.hour * HOUR as f64) as i64
    }

    fn reading(&self) -> Reading {
        Reading { at: self.ms(), used: self.used, limit: Some(self.limit) }
    }

    fn forecast(&self) -> Forecast {
        self.history.forecast(&self.night(), self.reading())
    }

    /// Polls for some hours, in each of which the used space changes.
    fn pass(&mut self, hours: u32, change: i64) {
        for half in 0..2 * hours {
            self.history.observe(&self.night(), self.reading());
            self.hour += 0.5;
            self.used += if half % 2 == 1 { change } else { 0 };
        }
    }

    /// Passes from noon to noon: the night grows, the morning frees.
    fn day(&mut self, growth: i64, freed: i64) {
        self.pass(8, 0);
        self.pass(10, growth / 10);
        self.pass(2, 0);
        self.pass(4, -freed / 4);
    }
}

#[test]
fn growth_is_the_rise_within_the_night() {
    let mut world = World::new(50 * TB, 100 * TB);
    world.day(10 * TB, 9 * TB);
    assert_eq!(world.forecast().last, None, "the night ends at the next noon");
    world.pass(1, 0);
    assert_eq!(world.forecast().last, Some(10 * TB));
    assert_eq!(world.forecast().high, Some(10 * TB));
    assert_eq!(world.forecast().headroom, Some(49 * TB));
    assert_eq!(world.forecast().nights_left, Some(4.9));
}

#[test]
fn night_without_its_beginning_or_end_does_not_count() {
    let mut late = World::new(0, TB);
    late.hour = 17.0;
    late.pass(20, 1);
    late.hour = 36.5;
    late.pass(1, 0);
    assert_eq!(late.forecast().last, None);
    let mut cut = World::new(0, TB);
    cut.pass(17, 1);
    cut.hour = 36.0;
    cut.pass(1, 0);
    assert_eq!(cut.forecast().last, None);
}

#[test]
fn decision_is_made_at_two_and_lasts_until_noon() {
    let mut world = World::new(50 * TB, 100 * TB);
    for _ in 0..4 {
        world.day(20 * TB, 10 * TB);
    }
    assert_eq!(world.used, 90 * TB);
    world.pass(2, 0);
    assert_eq!(world.forecast().fits, None, "13:30");
    world.pass(1, 0);
    assert_eq!(world.forecast().fits, Some(false));
    world.pass(5, 0);
    world.pass(10, 0);
    assert_eq!(world.forecast().fits, Some(false), "nothing was made free");
    world.pass(6, 0);
    assert_eq!(world.forecast().fits, Some(false));
    world.pass(1, 0);
    assert_eq!(world.forecast().fits, None, "the next noon");
}

#[test]
fn night_fits_once_space_was_made() {
    let mut world = World::new(50 * TB, 100 * TB);
    for _ in 0..4 {
        world.day(20 * TB, 10 * TB);
    }
    world.pass(3, 0);
    assert_eq!(world.forecast().fits, Some(false));
    world.limit = 111 * TB;
    world.pass(1, 0);
    assert_eq!(world.forecast().fits, Some(true));
    world.pass(4, 0);
    world.pass(10, 2 * TB);
    assert_eq!(world.forecast().fits, Some(true), "what is written was expected");
}

#[test]
fn agent_that_comes_late_does_not_decide() {
    let mut world = World::new(50 * TB, 100 * TB);
    for _ in 0..4 {
        world.day(20 * TB, 10 * TB);
    }
    world.hour += 7.0;
    world.pass(5, 2 * TB);
    assert_eq!(world.forecast().fits, None);
}

#[test]
fn weekday_with_a_history_is_judged_by_itself() {
    let mut world = World::new(0, 1_000 * TB);
    for day in 0..21 {
        let full = day % 7 == 2;
        world.day(if full { 100 * TB } else { TB }, if full { 100 * TB } else { TB });
    }
    // The 22nd night is of the weekday of the first.
    world.pass(1, 0);
    assert_eq!(world.forecast().tonight, Some(TB));
    assert_eq!(world.forecast().high, Some(100 * TB));
    world.hour -= 1.0;
    world.day(TB, TB);
    world.day(TB, TB);
    world.pass(1, 0);
    assert_eq!(world.forecast().tonight, Some(100 * TB), "the weekday of the full backup");
}

#[test]
fn three_nights_are_needed_to_judge_the_next() {
    let mut world = World::new(0, TB);
    for _ in 0..2 {
        world.day(TB, 0);
    }
    world.pass(1, 0);
    assert_eq!(world.forecast().tonight, None);
    world.hour -= 1.0;
    world.day(TB, 0);
    world.pass(1, 0);
    assert_eq!(world.forecast().tonight, Some(TB));
}

#[test]
fn trend_needs_three_days_and_ignores_the_hour() {
    let mut world = World::new(10 * TB, 100 * TB);
    for day in 0..4 {
        assert_eq!(world.forecast().daily, None, "day {day}");
        world.day(20 * TB, 19 * TB);
    }
    world.pass(1, 0);
    let forecast = world.forecast();
    let (daily, left) = (forecast.daily.unwrap(), forecast.days_left.unwrap());
    assert!((daily - TB as f64).abs() < 1e6, "{daily}");
    assert!((left - 86.0).abs() < 0.01, "{left}");
    world.history.noons.clear();
    assert_eq!(world.forecast().daily, None);
}

#[test]
fn pool_that_does_not_grow_is_never_full() {
    let mut world = World::new(TB, 100 * TB);
    for _ in 0..5 {
        world.day(TB, TB);
    }
    let forecast = world.forecast();
    assert_eq!((forecast.daily, forecast.days_left), (Some(0.0), None));
    let mut idle = World::new(101, 100);
    for _ in 0..5 {
        idle.day(0, 0);
    }
    idle.pass(3, 0);
    let forecast = idle.forecast();
    assert_eq!((forecast.headroom, forecast.nights_left), (Some(-1), None));
    assert_eq!(forecast.fits, Some(true), "nothing is to be written");
}

#[test]
fn clock_set_back_discards_the_future() {
    let mut world = World::new(0, TB);
    for _ in 0..6 {
        world.day(100, 0);
    }
    world.pass(1, 0);
    world.hour -= 73.0;
    world.pass(1, 0);
    assert_eq!(world.history.nights.len(), 3);
    assert_eq!(world.history.noons.len(), 4);
    world.day(100, 0);
    world.pass(1, 0);
    assert_eq!(world.forecast().last, Some(100));
}

#[test]
fn nights_are_kept_for_four_weeks() {
    let mut world = World::new(0, TB);
    for _ in 0..40 {
        world.day(100, 100);
    }
    world.pass(1, 0);
    assert_eq!((world.history.nights.len(), world.history.noons.len()), (28, 15));
}

#[test]
fn lying_sizes_do_not_overflow() {
    let night = Zone::utc().night_of(43_200_000).unwrap();
    let mut history = History::default();
    for (used, limit) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (-1, -1)] {
        let reading = Reading { at: night.decides, used, limit: Some(limit) };
        history.observe(&night, reading);
        history.forecast(&night, reading);
    }
}
