//! `ozone sh key list`: page after page, printed as it comes.

use std::io::{self, BufWriter, Write};

use ozone_client::key::KeySummary;
use ozone_client::{Bucket, OzoneClient};

use super::super::{Session, bucket, model};
use super::ListArgs;
use crate::address::{Address, Kind};
use crate::failure::Failure;
use crate::json;

pub fn run(session: &Session, args: &ListArgs) -> Result<(), Failure> {
    let address = session.address(&args.address, Kind::VolumeOrBucket, 0)?;
    let client = session.client(&address)?;
    session.block_on(async {
        if address.bucket.is_empty() {
            of_volume(session, &client, &address, args).await
        } else {
            of_bucket(session, &client, &address, args).await
        }
    })
}

async fn of_bucket(
    session: &Session,
    client: &OzoneClient,
    address: &Address,
    args: &ListArgs,
) -> Result<(), Failure> {
    let bucket = bucket::find(client, address).await?;
    let limit = args.list.limit()?;
    let wanted = args.list.prefix.as_deref().unwrap_or_default();
    let snapshot = address.key.trim_end_matches('/');
    let prefix = match (snapshot.is_empty(), wanted.is_empty()) {
        (true, _) => wanted.to_owned(),
        (false, true) => snapshot.to_owned(),
        (false, false) => format!("{snapshot}/{wanted}"),
    };
    let start = args.list.start.as_deref();
    let (count, more) = print(client, &bucket, &prefix, start, limit).await?;
    if more {
        tell_more(limit);
    } else if session.verbose && snapshot.is_empty() {
        eprint!(
            "Found : {count} keys for bucket {} in volume : {} ",
            address.bucket, address.volume
        );
    } else if session.verbose {
        eprint!(
            "Found : {count} keys for snapshot {} under bucket {} in volume : {} ",
            snapshot.split('/').nth(1).unwrap_or_default(),
            address.bucket,
            address.volume
        );
    }
    Ok(())
}

async fn of_volume(
    session: &Session,
    client: &OzoneClient,
    address: &Address,
    args: &ListArgs,
) -> Result<(), Failure> {
    client.volume(&address.volume).await?;
    let page_max = client.settings().list_page;
    let mut buckets: Vec<Bucket> = Vec::new();
    loop {
        let start = buckets.last().map(|last| last.name.clone());
        let page =
            client.list_buckets(&address.volume, None, start.as_deref(), page_max, false).await?;
        let ended = page.len() < page_max as usize;
        buckets.extend(page);
        if ended {
            break;
        }
    }
    let mut left = args.list.limit()?;
    let mut total = 0;
    let prefix = args.list.prefix.as_deref().unwrap_or_default();
    for (index, bucket) in buckets.iter().enumerate() {
        let start = args.list.start.as_deref();
        let (count, more) = print(client, bucket, prefix, start, left).await?;
        total += count;
        left -= count;
        if more || left == 0 && index + 1 < buckets.len() {
            tell_more(total);
            return Ok(());
        }
    }
    if session.verbose {
        eprintln!("Found : {total} keys in volume : {} ", address.volume);
    }
    Ok(())
}

fn tell_more(shown: usize) {
    eprintln!(
        "Listing first {shown} entries of the result. Use --length (-l) to override max returned \
         keys."
    );
}

/// Prints up to `limit` keys as one JSON array; tells how many, and whether there are more.
async fn print(
    client: &OzoneClient,
    bucket: &Bucket,
    prefix: &str,
    start: Option<&str>,
    limit: usize,
) -> Result<(usize, bool), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let page_max = client.settings().list_page;
    let mut after = start.map(str::to_owned);
    let (mut count, mut began) = (0, false);
    let more = loop {
        // One more than wanted tells whether there is more.
        let ask = u32::try_from(limit - count).unwrap_or(u32::MAX).saturating_add(1).min(page_max);
        let (page, more) = client.list_keys(bucket, prefix, after.as_deref(), ask).await?;
        // Not before it is sure that there is a list.
        if !std::mem::replace(&mut began, true) {
            out.write_all(b"[")?;
        }
        let room = limit - count;
        for key in page.iter().take(room) {
            put(&mut out, key, count)?;
            count += 1;
        }
        if page.len() > room {
            break true;
        }
        after = page.last().map(|key| key.name.clone()).or(after);
        if !more {
            break false;
        }
    };
    out.write_all(b" ]\n")?;
    out.flush()?;
    Ok((count, more))
}

fn put(out: &mut impl Write, key: &KeySummary, index: usize) -> io::Result<()> {
    out.write_all(if index == 0 { b" " } else { b", " })?;
    out.write_all(json::pretty(&model::listed_key(key)).as_bytes())
}
