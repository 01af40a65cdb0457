//! The emptier in virtual time: a minute is a thousand milliseconds, and names are the time in digits.

use super::*;
use crate::trash::{self, Root, Step, Times};

const DELETION_MS: u64 = 3_000;

fn time_of(name: &str) -> Option<u64> {
    name.split('-').next()?.parse().ok()
}

/// One turn of the emptier at the time of the OM; gives the names that it did not know.
fn turn(om: &mut Om) -> Vec<String> {
    let mut unknown = Vec::new();
    let (buckets, next) = trash::buckets(&om.ns(), b"", 100).unwrap();
    assert_eq!(next, None);
    for (volume, bucket) in buckets {
        for root in trash::roots(&om.ns(), &volume, &bucket).unwrap() {
            let checkpoint = om.now.to_string();
            let oldest_ms = om.now.saturating_sub(DELETION_MS);
            let times = Times { oldest_ms, time_of: &time_of, checkpoint: &checkpoint };
            let (steps, mut others) = trash::steps(&om.ns(), &root, times).unwrap();
            unknown.append(&mut others);
            for step in steps {
                run(om, &root, &step);
            }
        }
    }
    unknown
}

fn run(om: &mut Om, root: &Root, step: &Step) -> usize {
    let mut requests = 0;
    while let Some(request) = trash::next_request(&om.ns(), root, step).unwrap() {
        om.ok(OmRequest { version: Some(3), client_id: "emptier".into(), ..request });
        requests += 1;
    }
    requests
}

fn find(om: &Om, key: &str) -> bool {
    om.info(key).status() == Status::Ok
}

#[test]
fn what_was_deleted_becomes_a_checkpoint_and_goes_when_it_is_old_enough() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::Legacy] {
        let mut om = Om::with_bucket(layout);
        om.now = 10_000;
        om.put("kept/file", 1);
        om.put(".Trash/ann/Current/dir/one", 1);
        om.put(".Trash/bob/Current/two", 1);
        assert!(turn(&mut om).is_empty());
        assert!(find(&om, ".Trash/ann/10000/dir/one") && find(&om, ".Trash/bob/10000/two"));
        assert!(!find(&om, ".Trash/ann/Current/dir/one"));

        om.now = 12_000;
        om.put(".Trash/ann/Current/dir/one", 2);
        turn(&mut om);
        assert!(find(&om, ".Trash/ann/10000/dir/one") && find(&om, ".Trash/ann/12000/dir/one"));

        om.now = 13_000;
        turn(&mut om);
        assert!(find(&om, ".Trash/ann/10000/dir/one"), "old enough is more than the interval");
        om.now = 13_001;
        turn(&mut om);
        assert!(!find(&om, ".Trash/ann/10000/dir/one") && !find(&om, ".Trash/bob/10000/two"));
        assert!(find(&om, ".Trash/ann/12000/dir/one"));
        om.now = 16_000;
        turn(&mut om);
        assert!(!find(&om, ".Trash/ann/12000/dir/one"));
        assert!(find(&om, "kept/file"));
    }
}

#[test]
fn a_checkpoint_whose_name_is_taken_gets_a_number() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    for round in 0..3 {
        om.put(".Trash/ann/Current/one", round);
        turn(&mut om);
    }
    for name in ["1000", "1000-1", "1000-2"] {
        assert!(find(&om, &format!(".Trash/ann/{name}/one")), "{name}");
    }
}

#[test]
fn other_names_stay_and_are_told() {
    let mut om = Om::with_bucket(BucketLayoutProto::Legacy);
    om.put(".Trash/ann/notes/one", 1);
    om.put(".Trash/file", 1);
    om.now = 1_000_000;
    assert_eq!(turn(&mut om), ["notes"]);
    assert!(find(&om, ".Trash/ann/notes/one") && find(&om, ".Trash/file"));
}

#[test]
fn a_tree_goes_in_one_request_and_many_keys_in_bounded_ones() {
    for (layout, expected) in
        [(BucketLayoutProto::FileSystemOptimized, 1), (BucketLayoutProto::Legacy, 3)]
    {
        let mut om = Om::with_bucket(layout);
        for number in 0..2_500 {
            om.put(&format!(".Trash/ann/1/dir/key{number:04}"), 0);
        }
        let root = trash::roots(&om.ns(), "vol", "buck").unwrap().pop().unwrap();
        assert_eq!(root.path, ".Trash/ann");
        let renamed = Step::Rename { from: ".Trash/ann/1".into(), to: ".Trash/ann/2".into() };
        assert_eq!(run(&mut om, &root, &renamed), expected);
        assert!(find(&om, ".Trash/ann/2/dir/key2499"));
        assert_eq!(run(&mut om, &root, &Step::Delete(".Trash/ann/2".into())), expected);
        assert!(!find(&om, ".Trash/ann/2/dir/key0000"));
    }
}
