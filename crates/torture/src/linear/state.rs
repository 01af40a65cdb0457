//! What a group of names is: the sequential object that the Ozone Manager claims to be.

use std::collections::BTreeMap;

/// A name of a group, by its number.
pub type Name = u8;
/// What a key holds: the size it was written with, different for every write.
pub type Value = u64;

/// Names that are there, with what they hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct State(pub BTreeMap<Name, Value>);

/// A request, with its answer where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Writes a key, whether it is there or not.
    Put(Name, Value),
    /// Writes a key that must not be there (`expectedDataGeneration` 0); whether it did.
    PutNew(Name, Value, Option<bool>),
    /// Deletes a key; whether it was there.
    Delete(Name, Option<bool>),
    /// Deletes several keys at once; those that were not there.
    DeleteMany(Vec<Name>, Option<Vec<Name>>),
    /// Renames a key to a name that must be free; whether it did.
    Rename(Name, Name, Option<bool>),
    /// Looks a key up.
    Read(Name, Option<Value>),
    /// Lists the group.
    List(Vec<(Name, Value)>),
}

impl Action {
    /// Whether it changes nothing: such a request without an answer needs no explanation.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Read(..) | Self::List(_))
    }

    /// The state after it, if its answer is right in this one. Without an answer any is right.
    pub fn apply(&self, state: &State) -> Option<State> {
        let names = &state.0;
        let agrees = |answer: &Option<bool>, done: bool| answer.is_none_or(|said| said == done);
        let with = |change: &dyn Fn(&mut BTreeMap<Name, Value>)| {
            let mut names = names.clone();
            change(&mut names);
            Some(State(names))
        };
        match self {
            Self::Put(name, value) => with(&|names| {
                names.insert(*name, *value);
            }),
            Self::PutNew(name, value, done) => {
                let free = !names.contains_key(name);
                if !agrees(done, free) {
                    return None;
                }
                with(&|names| {
                    names.entry(*name).or_insert(*value);
                })
            }
            Self::Delete(name, done) => {
                if !agrees(done, names.contains_key(name)) {
                    return None;
                }
                with(&|names| {
                    names.remove(name);
                })
            }
            Self::DeleteMany(all, missing) => {
                let absent: Vec<Name> =
                    all.iter().copied().filter(|name| !names.contains_key(name)).collect();
                if missing.as_ref().is_some_and(|missing| *missing != absent) {
                    return None;
                }
                with(&|names| names.retain(|name, _| !all.contains(name)))
            }
            Self::Rename(from, to, done) => {
                let can = names.contains_key(from) && !names.contains_key(to);
                if !agrees(done, can) {
                    return None;
                }
                with(&|names| {
                    if can && let Some(value) = names.remove(from) {
                        names.insert(*to, value);
                    }
                })
            }
            Self::Read(name, value) => (names.get(name) == value.as_ref()).then(|| state.clone()),
            Self::List(all) => {
                let same = all.iter().map(|(name, value)| (name, value)).eq(names.iter());
                same.then(|| state.clone())
            }
        }
    }
}
