//! Reading a name and judging what was seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use om_proto::Status;
use ozone_client::{ClientError, OzoneClient};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;

use crate::content::{Content, Difference};
use crate::oracle::{Mark, State};
use crate::run::{Run, Space, VOLUME};
use crate::stats::{self, Op};

/// How a read ended.
#[derive(Debug)]
pub enum Seen {
    /// There is no such key.
    Nothing,
    /// A key with these bytes.
    Bytes(Vec<Bytes>),
}

/// Why nothing was seen.
#[derive(Debug)]
pub enum ReadFailure {
    /// The client's error.
    Client(ClientError),
    /// It took longer than an operation may.
    TooLong,
}

/// Reads a key to its end.
///
/// # Errors
/// See [`ReadFailure`].
pub async fn read(
    client: &OzoneClient,
    space: &Space,
    name: &str,
    limit: Duration,
) -> Result<Seen, ReadFailure> {
    let whole = async {
        let mut reader = client.read_key(VOLUME, space.bucket, name).await?;
        let mut pieces = Vec::new();
        while let Some(piece) = reader.next().await? {
            pieces.push(piece);
        }
        Ok(Seen::Bytes(pieces))
    };
    match timeout(limit, whole).await {
        Ok(Err(error)) if is_absent(&error) => Ok(Seen::Nothing),
        Ok(other) => other.map_err(ReadFailure::Client),
        Err(_) => Err(ReadFailure::TooLong),
    }
}

fn is_absent(error: &ClientError) -> bool {
    matches!(error.status(), Some(Status::KeyNotFound | Status::FileNotFound))
}

/// The state that was seen, if it is one of those that may be; else what is wrong.
///
/// # Errors
/// A short name of the violation, and its detail.
pub fn judge(seen: &Seen, allowed: &[State]) -> Result<State, (&'static str, String)> {
    let Seen::Bytes(pieces) = seen else {
        return match allowed.contains(&State::Absent) {
            true => Ok(State::Absent),
            false => Err(("lost key", format!("no such key, but it should be one of {allowed:?}"))),
        };
    };
    let mut differences: Vec<(Content, Difference)> = Vec::new();
    for state in allowed {
        let State::Holds(content) = state else { continue };
        match content.difference(pieces) {
            None => return Ok(*state),
            Some(difference) => differences.push((*content, difference)),
        }
    }
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    if differences.is_empty() {
        return Err(("key that should not be", format!("{bytes} bytes, allowed is {allowed:?}")));
    }
    Err((
        "wrong bytes",
        format!("{bytes} bytes were read; they differ from each content: {differences:?}"),
    ))
}

impl Run {
    /// Reads a name, judges it, counts it. Whether it could be read.
    pub async fn read_and_judge(
        &self,
        client: &OzoneClient,
        space: &Space,
        name: &str,
    ) -> Option<State> {
        let began = Instant::now();
        let mark = space.oracle.now(name);
        match read(client, space, name, self.options.operation_limit).await {
            Ok(seen) => self.judged(space, name, mark, &seen, began),
            Err(ReadFailure::Client(error)) => {
                self.stats.failed(Op::Read, &stats::kind(&error), format!("{name}: {error}"));
                None
            }
            Err(ReadFailure::TooLong) => {
                self.stats.failed(Op::Read, "took too long", name.to_owned());
                None
            }
        }
    }

    fn judged(
        &self,
        space: &Space,
        name: &str,
        mark: Mark,
        seen: &Seen,
        began: Instant,
    ) -> Option<State> {
        let allowed = space.oracle.allowed(name, mark);
        let pieces = match seen {
            Seen::Bytes(pieces) => &pieces[..],
            Seen::Nothing => &[],
        };
        match judge(seen, &allowed) {
            Ok(state) => {
                let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
                self.stats.done(Op::Read, began, bytes);
                Some(state)
            }
            Err((what, detail)) => {
                self.violation(space, name, what, detail, pieces);
                // The verdict is given: asking again would only repeat it.
                Some(State::Void)
            }
        }
    }
}

/// Reads names at random until the run stops.
pub async fn reader(run: Arc<Run>, number: u32) {
    let mut random = SmallRng::seed_from_u64(run.options.seed ^ (0x5eed_0000 + u64::from(number)));
    let client = run.client(number).clone();
    while !run.stopping() {
        let space = &run.spaces[random.random_range(0..run.spaces.len())];
        if let Some(name) = space.oracle.pick(random.random_range(0..usize::MAX)) {
            run.read_and_judge(&client, space, &name).await;
        }
        pause(&run, &mut random).await;
    }
}

/// Waits the mean time of the run, more or less.
pub async fn pause(run: &Run, random: &mut SmallRng) {
    let mean = run.options.think.as_millis() as u64;
    tokio::time::sleep(Duration::from_millis(random.random_range(0..=2 * mean))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_judged_by_all_that_it_may_have_seen() {
        let old = Content { id: 1, length: 100 };
        let new = Content { id: 2, length: 50 };
        let bytes = |content: Content| Seen::Bytes(content.pieces().collect());
        let both = [State::Holds(old), State::Holds(new)];
        assert_eq!(judge(&bytes(old), &both), Ok(State::Holds(old)));
        assert_eq!(judge(&bytes(new), &both), Ok(State::Holds(new)));
        assert_eq!(judge(&Seen::Nothing, &[State::Absent]), Ok(State::Absent));
        let verdict = |seen: &Seen, allowed: &[State]| judge(seen, allowed).unwrap_err().0;
        assert_eq!(verdict(&Seen::Nothing, &both), "lost key");
        assert_eq!(verdict(&bytes(old), &[State::Holds(new)]), "wrong bytes");
        assert_eq!(verdict(&bytes(old), &[State::Absent]), "key that should not be");
        assert_eq!(verdict(&Seen::Bytes(Vec::new()), &[State::Holds(new)]), "wrong bytes");
    }
}
