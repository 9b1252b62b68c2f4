//! Members and figures of buckets.

use std::{collections::BTreeMap, sync::Arc};

use mainspring_projections::{FillState, MemberFilter, PageSize, Period, PeriodPoint, StayStatus};
use mainspring_schemas::{
    BucketId, StreamName, Timestamp,
    event::{
        BucketEvent,
        bucket::{BackfillCompleted, BackfillStarted, Purpose, Retired, Switched},
        contact::LeaveReason,
    },
};

use proptest::prelude::*;

use crate::{
    following::follow,
    history::{History, ModelStay},
    memory_log::MemoryLog,
};

fn bucket() -> BucketId {
    BucketId::new("lapsed").unwrap()
}

#[test]
fn bk_211_paging_by_stay_shows_every_member_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for index in 0..9 {
        history.create(1);
        history.enter(index, 1);
    }
    history.step((14, 3, 1));
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let access = read_models.bucket_members(&bucket());
    let members: Vec<_> = access.iter(PageSize::new(2).unwrap()).collect::<Result<_, _>>().unwrap();
    assert_eq!(members.len(), 8);
    assert!(members.is_sorted_by_key(|stay| stay.id));
    let left = history.contacts[3].id;
    assert!(!read_models.is_member(&bucket(), left).unwrap());
    assert!(read_models.is_member(&bucket(), history.contacts[4].id).unwrap());
    let filter = |status, contact| MemberFilter { bucket: bucket(), status, contact };
    let newest = read_models.members(&filter(StayStatus::Active, None), 10, 0).unwrap();
    assert!(newest.is_sorted_by_key(|stay| std::cmp::Reverse(stay.entered_at)));
    let ended = read_models.members(&filter(StayStatus::Left, None), 10, 0).unwrap();
    assert_eq!(ended[0].reason, Some(LeaveReason::Criteria));
    assert_eq!(read_models.member_count(&filter(StayStatus::Left, Some(left))).unwrap(), 1);
    assert_eq!(read_models.members(&filter(StayStatus::Active, Some(left)), 10, 0).unwrap(), []);
}

#[test]
fn bk_240_of_two_active_stays_the_losers_ends_silently() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(1);
    history.create(1);
    history.enter(0, 1);
    history.enter(1, 1);
    history.enter(0, 2);
    history.merge(0, 1);
    let survivor = history.contacts[1].id;
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let stays = read_models.stays_of(survivor).unwrap();
    assert_eq!(stays.len(), 3);
    let ended: Vec<_> = stays.iter().filter(|stay| stay.status == StayStatus::Left).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].reason, ended[0].bucket.as_str()), (Some(LeaveReason::Merged), "lapsed"));
    let figures = read_models.bucket_figures(&bucket()).unwrap();
    assert_eq!((figures.entered, figures.left, figures.size), (2, 1, 1));
}

#[test]
fn gd_02_stays_of_the_deleted_are_hidden_until_they_come_back() {
    let mut history = History::default();
    history.create(1);
    history.enter(0, 1);
    history.step((14, 0, 200));
    history.enter(0, 1);
    let contact = history.contacts[0].id;
    let log = MemoryLog::of(&history.records);
    let dir = tempfile::tempdir().unwrap();
    let shown = |log: &Arc<MemoryLog>| {
        let read_models = follow(dir.path(), log);
        let figures = read_models.bucket_figures(&bucket()).unwrap();
        (read_models.stays_of(contact).unwrap().len(), figures.entered, figures.left, figures.size)
    };
    let mut go_on = |step: &dyn Fn(&mut History)| {
        let before = history.records.len();
        step(&mut history);
        log.push(&history.records[before..]);
        shown(&log)
    };
    assert_eq!(go_on(&|_| {}), (2, 2, 1, 1));
    assert_eq!(go_on(&|history| history.delete(0, 1)), (0, 0, 0, 0));
    assert_eq!(go_on(&|history| history.restore(0, 1)), (2, 2, 2, 0), "both had ended");
    assert_eq!(go_on(&|history| history.enter(0, 1)), (3, 3, 2, 1));
    assert_eq!(go_on(&|history| history.delete(0, 1)), (0, 0, 0, 0));
    assert_eq!(go_on(&|history| history.end_grace(0)), (0, 0, 0, 0));
    let connection = rusqlite::Connection::open(dir.path().join("read-models.sqlite")).unwrap();
    let left: i64 = connection
        .query_row("SELECT (SELECT count(*) FROM hidden_stays) + (SELECT count(*) FROM stays)", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, 0, "the erased leave nothing");
}

#[test]
fn bk_142_an_end_that_comes_later_is_shown_whether_the_stay_is_stored_or_new() {
    let mut history = History::default();
    history.create(1);
    history.enter(0, 1);
    let entered = history.records.len();
    history.dwell(0, 0);
    let stay = history.contacts[0].id;
    let end =
        |read_models: mainspring_projections::ReadModels| read_models.stays_of(stay).unwrap()[0].max_dwell_at;
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::of(&history.records[..entered]);
    assert_eq!(end(follow(dir.path(), &log)), None);
    log.push(&history.records[entered..]);
    let expected = Some(history.now().plus(5000));
    assert_eq!(end(follow(dir.path(), &log)), expected, "stored");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(end(follow(dir.path(), &MemoryLog::of(&history.records))), expected, "new in the same batch");
}

#[test]
fn mc_43_between_the_halves_of_a_merge_the_losers_stays_show_the_survivor() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.create(1);
    history.create(1);
    history.enter(0, 1);
    history.merge(0, 1);
    history.records.pop();
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let members = read_models.bucket_members(&bucket()).page(None, PageSize::default()).unwrap().members;
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].user_key, "Key-2");
    assert_eq!(read_models.member_counts(&bucket()).unwrap().active, 1);
}

#[test]
fn bk_225_points_by_period_and_bk_226_overview() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.define("lapsed", "h1");
    history.create(1);
    for _ in 0..3 {
        history.enter(0, 1);
        history.step((14, 0, 200));
    }
    history.enter(0, 1);
    let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
    let points =
        |period| read_models.bucket_points(&bucket(), period, Timestamp(0), Timestamp(i64::MAX)).unwrap();
    for period in [Period::Day, Period::Week, Period::Month] {
        let points = points(period);
        assert!(points.is_sorted_by_key(|point| point.start));
        assert_eq!(points.iter().map(|point| point.entered).sum::<u64>(), 4);
        assert_eq!(points.iter().map(|point| point.left).sum::<u64>(), 3);
    }
    assert!(points(Period::Day).len() > points(Period::Month).len());
    let overview = read_models.bucket_overview().unwrap();
    assert_eq!((overview.active_buckets, overview.bucket_members), (1, 1));
    assert!(read_models.bucket_figures(&bucket()).unwrap().avg_dwell_secs(history.now()).unwrap() > 0);
}

/// What counting the stays one by one gives.
fn counted(
    stays: &[ModelStay],
    start: impl Fn(Timestamp) -> Timestamp,
    from: i64,
    to: i64,
) -> Vec<PeriodPoint> {
    let mut points: BTreeMap<Timestamp, (u64, u64)> = BTreeMap::new();
    for stay in stays.iter().filter(|stay| stay.bucket == bucket()) {
        if (from..=to).contains(&stay.entered_at.0) {
            points.entry(start(stay.entered_at)).or_default().0 += 1;
        }
        if let Some(left_at) = stay.left_at.filter(|at| (from..=to).contains(&at.0)) {
            points.entry(start(left_at)).or_default().1 += 1;
        }
    }
    points.into_iter().map(|(start, (entered, left))| PeriodPoint { start, entered, left }).collect()
}

/// The first instant of the period, by the calendar.
fn start_of(period: Period, at: Timestamp) -> Timestamp {
    let midnight = |text: &str| format!("{text}T00:00:00.000Z").parse::<Timestamp>().unwrap();
    let date = at.to_string();
    match period {
        Period::Day => midnight(&date[..10]),
        Period::Month => midnight(&format!("{}-01", &date[..7])),
        Period::Week => {
            // 2024-01-01 was a Monday.
            let monday = midnight("2024-01-01");
            monday.plus(at.since(monday).div_euclid(7 * 86_400_000) * 7 * 86_400_000)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bk_225_both_ends_are_exact_instants(
        visits in prop::collection::vec((0_u8..3, 0_u8..255), 1..60),
        spans in prop::collection::vec((0_usize..200, -1_i64..=1, 0_usize..200, -1_i64..=1), 12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::default();
        history.define("lapsed", "h1");
        (0..3).for_each(|_| _ = history.create(1));
        for (who, wait) in visits {
            // Comes or goes, then time passes.
            history.enter(who, 1);
            history.step((14, who, wait));
        }
        let read_models = follow(dir.path(), &MemoryLog::of(&history.records));
        let stays: Vec<ModelStay> = history.stays.values().cloned().collect();
        // Ends that matter: around every instant of a stay, and around the midnights beside it.
        let mut ends: Vec<i64> = stays
            .iter()
            .flat_map(|stay| [Some(stay.entered_at), stay.left_at])
            .flatten()
            .flat_map(|at| [at.0, start_of(Period::Day, at).0, start_of(Period::Day, at).0 + 86_400_000])
            .collect();
        ends.extend([0, i64::MAX / 2]);
        for (from, before, to, after) in spans {
            let (from, to) = (ends[from % ends.len()] + before, ends[to % ends.len()] + after);
            for period in [Period::Day, Period::Week, Period::Month] {
                let points =
                    read_models.bucket_points(&bucket(), period, Timestamp(from), Timestamp(to)).unwrap();
                let expected = counted(&stays, |at| start_of(period, at), from, to);
                prop_assert_eq!(points, expected, "{} to {} by {:?}", from, to, period);
            }
        }
    }
}

#[test]
fn bk_200_bk_203_definition_switch_back_fill_and_retirement() {
    let dir = tempfile::tempdir().unwrap();
    let mut history = History::default();
    let stream = StreamName::bucket(&bucket());
    let at = Timestamp(5);
    history.define("lapsed", "h1");
    history.define("vip", "h9");
    let push = |history: &mut History, event: BucketEvent| {
        history.append(stream.clone(), event.encode().unwrap());
    };
    let log = MemoryLog::of(&history.records);
    let read = |history: &History| {
        log.push(
            &history.records[usize::try_from(mainspring_eventlog::EventLog::durable_end(&*log)).unwrap()..],
        );
        follow(dir.path(), &log).bucket(&bucket()).unwrap().unwrap()
    };
    let row = read(&history);
    assert_eq!(row.fill.state, FillState::Building);
    assert_eq!(row.definition["name"], "LAPSED");
    assert!(row.enabled);
    push(
        &mut history,
        BucketEvent::BackfillStarted(BackfillStarted {
            at,
            criteria_hash: "h1".into(),
            total: 7,
            purpose: Purpose::Membership,
        }),
    );
    push(&mut history, BucketEvent::Switched(Switched { at, enabled: false }));
    let row = read(&history);
    assert_eq!((row.fill.total, row.enabled, row.switched), (7, false, Some(false)));
    push(
        &mut history,
        BucketEvent::BackfillCompleted(BackfillCompleted {
            at,
            criteria_hash: "h1".into(),
            processed: 7,
            purpose: Purpose::Clocks,
        }),
    );
    assert_eq!(read(&history).fill.state, FillState::Building, "planning of clocks decides nobody");
    let completed = |hash: &str| BackfillCompleted {
        at,
        criteria_hash: hash.into(),
        processed: 7,
        purpose: Purpose::Membership,
    };
    push(&mut history, BucketEvent::BackfillCompleted(completed("older")));
    assert_eq!(read(&history).fill.state, FillState::Building, "of criteria that changed meanwhile");
    push(&mut history, BucketEvent::BackfillCompleted(completed("h1")));
    assert_eq!(read(&history).fill.state, FillState::Live);
    push(&mut history, BucketEvent::Retired(Retired { at }));
    assert_eq!(read(&history).retired_at, Some(at));
    let order: Vec<_> = follow(dir.path(), &log).buckets().unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(order.iter().map(BucketId::as_str).collect::<Vec<_>>(), ["lapsed", "vip"]);
}
