//! `ockv` and `ocokr`: read keys and compare each with the first (`OzoneClientKeyValidator`,
//! `SameKeyReader`).
//!
//! Where the Java tool compares MD5 sums, the bytes themselves are compared as they come: that is
//! stricter, and cheap enough not to be what is measured. A first key too large for memory, or
//! `--stream`, brings the sums back.

use bytes::Bytes;
use clap::Args;
use md5::{Digest, Md5};
use ozone_client::key::KeyReader;
use ozone_client::{ClientError, OzoneClient};

use crate::engine::{self, Load, Plan, Step};
use crate::options::{BaseOptions, BucketOptions, ServiceOptions};
use crate::{Context, FreonError, report, target};

/// A first key above this is not kept.
const REFERENCE_BYTES_MAX: u64 = 256 << 20;

/// Options of `ockv`.
#[derive(Args, Debug)]
pub struct OckvArgs {
    #[command(flatten)]
    base: BaseOptions,
    #[command(flatten)]
    bucket: BucketOptions,
    /// Compare digests, computed while reading
    #[arg(short = 's', long)]
    stream: bool,
    #[command(flatten)]
    service: ServiceOptions,
}

/// Options of `ocokr`.
#[derive(Args, Debug)]
pub struct OcokrArgs {
    #[command(flatten)]
    validate: OckvArgs,
    /// The key
    #[arg(short = 'k', long, value_name = "keyName")]
    key: String,
}

struct Ockv {
    client: OzoneClient,
    plan: Plan,
    target: BucketOptions,
    /// Read this key whatever the number.
    same: Option<String>,
    reference: Reference,
}

/// The first key.
enum Reference {
    Bytes(Vec<Bytes>),
    Digest([u8; 16]),
}

/// Runs `ockv`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OckvArgs) -> Result<(), FreonError> {
    validate(context, args, None)
}

/// Runs `ocokr`.
///
/// # Errors
/// See [`engine::run`].
pub fn run_one(context: &Context<'_>, args: OcokrArgs) -> Result<(), FreonError> {
    validate(context, args.validate, Some(args.key))
}

fn validate(context: &Context<'_>, args: OckvArgs, same: Option<String>) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        let first = same.clone().unwrap_or_else(|| plan.key(0));
        let target = args.bucket;
        let reader = client.read_key(&target.volume, &target.bucket, &first).await?;
        let reference = reference(reader, args.stream).await?;
        let load = Ockv { client, plan: plan.clone(), target, same, reference };
        engine::run(context, plan, load).await
    })
}

async fn reference(mut reader: KeyReader, mut stream: bool) -> Result<Reference, ClientError> {
    let size = reader.length();
    if !stream && size > REFERENCE_BYTES_MAX {
        report::log(&format!("Forcing 'stream' option, as key size is too large: {size} bytes"));
        stream = true;
    }
    if stream {
        return Ok(Reference::Digest(digest(&mut reader).await?));
    }
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next().await? {
        pieces.push(piece);
    }
    Ok(Reference::Bytes(pieces))
}

async fn digest(reader: &mut KeyReader) -> Result<[u8; 16], ClientError> {
    let mut digest = Md5::new();
    while let Some(piece) = reader.next().await? {
        digest.update(&piece);
    }
    Ok(digest.finalize().into())
}

impl Load for Ockv {
    fn timers(&self) -> Vec<&'static str> {
        vec!["key-validate"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let key = match &self.same {
            Some(same) => same.clone(),
            None => self.plan.key(step.counter),
        };
        let read = async {
            let (volume, bucket) = (&self.target.volume, &self.target.bucket);
            let mut reader = self.client.read_key(volume, bucket, &key).await?;
            step.add_bytes(reader.length());
            match &self.reference {
                Reference::Bytes(pieces) => equals(&mut reader, pieces).await,
                Reference::Digest(first) => Ok(digest(&mut reader).await? == *first),
            }
        };
        if step.time(0, read).await? {
            return Ok(());
        }
        Err(FreonError::Wrong(format!(
            "Reference (=first) message digest doesn't match with digest of {key}"
        )))
    }
}

/// Whether the key has these bytes; reads no further than the first difference.
async fn equals(reader: &mut KeyReader, pieces: &[Bytes]) -> Result<bool, ClientError> {
    let mut rest = Expected::new(pieces);
    while let Some(piece) = reader.next().await? {
        if !rest.take(&piece) {
            return Ok(false);
        }
    }
    Ok(rest.is_empty())
}

/// Bytes still to come, in pieces cut in any way.
struct Expected<'a> {
    current: &'a [u8],
    rest: std::slice::Iter<'a, Bytes>,
}

impl<'a> Expected<'a> {
    fn new(pieces: &'a [Bytes]) -> Self {
        Self { current: &[], rest: pieces.iter() }
    }

    /// Whether `found` comes next.
    fn take(&mut self, mut found: &[u8]) -> bool {
        while !found.is_empty() {
            if self.is_empty() {
                return false;
            }
            let length = found.len().min(self.current.len());
            let (here, later) = self.current.split_at(length);
            if found[..length] != *here {
                return false;
            }
            (self.current, found) = (later, &found[length..]);
        }
        true
    }

    fn is_empty(&mut self) -> bool {
        while self.current.is_empty() {
            match self.rest.next() {
                Some(next) => self.current = next,
                None => return true,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(expected: &[&'static str], found: &[&str]) -> bool {
        let pieces: Vec<Bytes> =
            expected.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        let mut rest = Expected::new(&pieces);
        found.iter().all(|piece| rest.take(piece.as_bytes())) && rest.is_empty()
    }

    #[test]
    fn bytes_are_the_same_however_they_are_cut() {
        assert!(same(&["abc", "de"], &["a", "bcd", "e"]));
        assert!(same(&["", "abc"], &["abc", ""]));
        assert!(same(&[], &[]));
        assert!(!same(&["abc"], &["ab"]), "too short");
        assert!(!same(&["ab"], &["abc"]), "too long");
        assert!(!same(&["abc", "de"], &["abcdf"]));
    }
}
