use super::super::history::NEVER;
use super::super::state::Action::{self, Delete, DeleteMany, List, Put, PutNew, Read, Rename};
use super::*;

/// Operations as (call, end, action); an end of [`NEVER`] is an operation without an answer.
fn history(all: &[(u64, u64, Action)]) -> Vec<Operation> {
    all.iter()
        .enumerate()
        .map(|(client, (call, end, action))| Operation {
            client: client as u32,
            action: action.clone(),
            call: *call,
            end: *end,
            is_certain: *end != NEVER,
        })
        .collect()
}

fn holds(all: &[(u64, u64, Action)]) -> bool {
    match check(&history(all)) {
        Verdict::Linearizable { .. } => true,
        Verdict::Violation(_) => false,
        Verdict::Undecided => panic!("undecided"),
    }
}

#[test]
fn a_read_sees_what_was_written_before_or_meanwhile() {
    assert!(holds(&[(0, 1, Put(1, 7)), (2, 3, Read(1, Some(7)))]));
    assert!(holds(&[(0, 5, Put(1, 7)), (2, 3, Read(1, Some(7)))]));
    assert!(holds(&[(0, 5, Put(1, 7)), (2, 3, Read(1, None))]));
}

#[test]
fn a_stale_read_is_found() {
    assert!(!holds(&[(0, 1, Put(1, 7)), (2, 3, Read(1, None))]));
    assert!(!holds(&[(0, 1, Put(1, 7)), (2, 3, Put(1, 8)), (4, 5, Read(1, Some(7)))]));
    // Two readers after one another may not see a write come and go.
    let put = (0, 9, Put(1, 7));
    assert!(!holds(&[put, (1, 2, Read(1, Some(7))), (3, 4, Read(1, None))]));
}

#[test]
fn a_lost_or_halved_rename_is_found() {
    let start = (0, 1, Put(1, 7));
    let rename = (2, 3, Rename(1, 2, Some(true)));
    assert!(holds(&[start.clone(), rename.clone(), (4, 5, List(vec![(2, 7)]))]));
    assert!(!holds(&[start.clone(), rename.clone(), (4, 5, List(vec![]))]));
    assert!(!holds(&[start.clone(), rename.clone(), (4, 5, List(vec![(1, 7)]))]));
    // Not even meanwhile may both names, or none, be seen.
    let slow = (2, 9, Rename(1, 2, Some(true)));
    assert!(holds(&[start.clone(), slow.clone(), (4, 5, List(vec![(1, 7)]))]));
    assert!(!holds(&[start.clone(), slow.clone(), (4, 5, List(vec![(1, 7), (2, 7)]))]));
    assert!(!holds(&[start.clone(), slow, (4, 5, List(vec![]))]));
    assert!(!holds(&[start, (2, 3, Rename(1, 2, Some(false)))]));
}

#[test]
fn of_two_that_create_a_key_only_one_may_win() {
    let first = (0, 5, PutNew(1, 7, Some(true)));
    assert!(holds(&[first.clone(), (1, 4, PutNew(1, 8, Some(false)))]));
    assert!(!holds(&[first.clone(), (1, 4, PutNew(1, 8, Some(true)))]));
    assert!(!holds(&[first, (1, 4, PutNew(1, 8, Some(false))), (6, 7, Read(1, Some(8)))]));
}

#[test]
fn a_request_without_an_answer_may_have_happened_or_not_but_not_both() {
    let start = (0, 1, Put(1, 7));
    let lost = (2, NEVER, Delete(1, None));
    assert!(holds(&[start.clone(), lost.clone(), (3, 4, Read(1, None))]));
    assert!(holds(&[start.clone(), lost.clone(), (3, 4, Read(1, Some(7)))]));
    assert!(holds(&[start.clone(), lost.clone(), (3, 4, Read(1, Some(7))), (5, 6, Read(1, None))]));
    assert!(!holds(&[start, lost, (3, 4, Read(1, None)), (5, 6, Read(1, Some(7)))]));
}

#[test]
fn after_its_end_a_request_without_an_answer_cannot_take_effect_any_more() {
    let mut all = history(&[
        (0, 1, Put(1, 7)),
        (2, 5, Delete(1, None)),
        (6, 7, Read(1, Some(7))),
        (8, 9, Read(1, None)),
    ]);
    all[1].is_certain = false;
    assert!(matches!(check(&all), Verdict::Violation(_)));
}

#[test]
fn many_keys_are_deleted_at_once() {
    let start = [(0, 1, Put(1, 7)), (2, 3, Put(2, 8))];
    let delete = (4, 9, DeleteMany(vec![1, 2, 3], Some(vec![3])));
    let with = |list: Vec<(u8, u64)>| {
        let mut all = start.to_vec();
        all.extend([delete.clone(), (5, 6, List(list))]);
        holds(&all)
    };
    assert!(with(vec![]) && with(vec![(1, 7), (2, 8)]));
    assert!(!with(vec![(2, 8)]));
}

/// Half of the histories hold a read of what nobody wrote: the checker must find those, and must not find anything else.
#[test]
fn random_histories_are_judged_right() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    for seed in 0..30 {
        let mut random = StdRng::seed_from_u64(seed);
        let lie = (seed % 2 == 1).then(|| 50 + random.random_range(0..100_u64));
        let mut state = State::default();
        let mut all = Vec::new();
        for step in 0..200_u64 {
            let (one, two) = (random.random_range(0..3_u8), random.random_range(3..5_u8));
            let value = step + 1;
            let action = match random.random_range(0..6) {
                0 | 1 => Put(one, value),
                2 => Delete(one, Some(state.0.contains_key(&one))),
                3 => {
                    let can = state.0.contains_key(&one) && !state.0.contains_key(&two);
                    Rename(one, two, Some(can))
                }
                4 => Read(one, state.0.get(&one).copied()),
                _ => List(state.0.clone().into_iter().collect()),
            };
            state = action.apply(&state).expect("the answer is the state's");
            // Each takes effect at 100 × step, somewhere between call and end; several overlap.
            let call = 100 * step + 1000 - random.random_range(0..250);
            all.push((call, 100 * step + 1000 + random.random_range(0..250), action));
        }
        if let Some(at) = lie {
            // A value that nobody wrote.
            all.push((100 * at + 1000, 100 * at + 1001, Read(1, Some(99_999))));
        }
        assert_eq!(holds(&all), lie.is_none(), "seed {seed}");
    }
}
