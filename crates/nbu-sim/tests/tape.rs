//! The tapes live: some freeze, some scratch tapes are taken, and the lists tell of it.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use nbu_sim::{Rows, Settings, TapeView, Truth};
use support::{Api, api};

async fn tapes(number: usize) -> Api {
    api(Settings { rows: Rows::default().with("tapes", number), ..Settings::default() }).await
}

fn frozen(truth: &Truth) -> usize {
    truth.tapes().iter().filter(|tape| tape.words.contains(&"FROZEN")).count()
}

fn scratch(truth: &Truth) -> Vec<TapeView> {
    let tapes = truth.tapes().into_iter();
    tapes.filter(|tape| tape.pool_type == "SCRATCH_MEDIA_POOL" && tape.robot.is_some()).collect()
}

#[tokio::test]
async fn tapes_have_every_combination_of_words() {
    let sim = tapes(12_000).await.sim;
    let words = |tape: TapeView| tape.words.into_iter().collect::<BTreeSet<_>>();
    let combinations: BTreeSet<_> = sim.truth().tapes().into_iter().map(words).collect();
    assert_eq!(combinations.len(), 512);
}

#[tokio::test]
async fn scratch_tapes_are_in_pools_of_any_name() {
    let sim = tapes(400).await.sim;
    let pools: BTreeSet<_> = scratch(&sim.truth()).into_iter().map(|tape| tape.pool).collect();
    assert_eq!(pools.into_iter().collect::<Vec<_>>(), ["Blanks".into(), "Scratch".into()]);
    let named = |tape: &&TapeView| &*tape.pool == "scratch-old";
    let truth = sim.truth();
    let kinds: BTreeSet<_> = truth.tapes().iter().filter(named).map(|t| t.pool_type).collect();
    assert_eq!(kinds, BTreeSet::from(["REGULAR_MEDIA_POOL"]));
    assert!(scratch(&truth).iter().all(|tape| tape.robot != Some(1)), "it never gets one");
    assert!(truth.tapes().iter().any(|tape| tape.robot == Some(1)));
}

#[tokio::test]
async fn tapes_freeze_and_scratch_shrinks_with_time() {
    let api = tapes(60).await;
    let before = api.sim.truth();
    api.sim.clock().advance(Duration::from_secs(8 * 3600));
    let after = api.sim.truth();
    assert!(frozen(&after) > frozen(&before));
    assert!(scratch(&after).len() < scratch(&before).len());
    assert_eq!(frozen(&after.earlier(8 * 3_600_000)), frozen(&before), "the past stays");
    let page = api.json("/storage/tape-media", &[("page[limit]", "100")]).await;
    let rows = page["data"].as_array().unwrap();
    assert_eq!(rows.len(), 60);
    for (tape, row) in after.tapes().iter().zip(rows) {
        let row = &row["attributes"];
        assert_eq!(row["volumePool"], *tape.pool);
        assert_eq!(row["mediaStatus"], tape.words.join(" "));
        assert_eq!(row["kiloBytes"], tape.kilobytes);
        assert_eq!(row["validImages"], tape.valid_images);
        assert_eq!(row["cleaningsRemaining"].as_i64(), tape.cleanings);
        if tape.robot.is_some() {
            assert_eq!(row["robot"]["robotNumber"].as_u64(), tape.robot.map(|robot| robot as u64));
        }
    }
}

#[tokio::test]
async fn status_of_a_drive_is_that_of_its_paths() {
    let rows = Rows::default().with("tape-drives", 200);
    let sim = api(Settings { rows, ..Settings::default() }).await.sim;
    for drive in sim.truth().tape_drives() {
        let down = drive.paths.iter().filter(|path| **path == "PATH_STATUS_DOWN").count();
        let expected = match drive.status {
            "DRIVE_STATUS_DOWN" => down == drive.paths.len(),
            "DRIVE_STATUS_MIXED" => down > 0 && down < drive.paths.len(),
            _ => down == 0,
        };
        assert!(expected, "{drive:?}");
    }
}
