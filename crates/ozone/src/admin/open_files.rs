//! `ozone admin om list-open-files` (`ListOpenFilesSubCommand`).

use std::fmt::Write as _;

use clap::Args;
use ozone_client::admin::{OpenFile, OpenFiles};

use super::ServiceOrHost;
use crate::failure::Failure;
use crate::json;
use crate::sh::Session;

/// Metadata of a file after an hsync: the session that did it (`OzoneConsts`).
const HSYNC_CLIENT: &str = "hsyncClientId";
/// Metadata of a file that was deleted while it was open.
const DELETED: &str = "deletedHsyncKey";
/// Metadata of a file that was replaced while it was open.
const OVERWRITTEN: &str = "overwrittenHsyncKey";

/// Options of `list-open-files`.
#[derive(Args, Debug)]
pub struct OpenFilesArgs {
    #[command(flatten)]
    om: ServiceOrHost,
    /// Show those that were deleted meanwhile, too
    #[arg(long = "show-deleted")]
    deleted: bool,
    /// Show those that were replaced meanwhile, too
    #[arg(long = "show-overwritten")]
    overwritten: bool,
    /// Only below this path: /volume/bucket/…
    #[arg(short, long, default_value = "/")]
    prefix: String,
    /// How many
    #[arg(short, long = "length", default_value_t = 100)]
    length: u32,
    /// Where the page before ended
    #[arg(short, long, default_value = "")]
    start: String,
}

pub(super) fn run(session: &Session, args: &OpenFilesArgs) -> Result<(), Failure> {
    let client = session.client_of(&args.om.address(session)?)?;
    let ask = async { Ok(client.open_files(&args.prefix, args.length, &args.start).await?) };
    let mut page = session.block_on(ask)?;
    page.files.retain(|file| {
        (args.deleted || value(file, DELETED).is_none())
            && (args.overwritten || value(file, OVERWRITTEN).is_none())
    });
    session.print(&shown(&page, args))
}

/// A page as the Java command shows it.
fn shown(page: &OpenFiles, args: &OpenFilesArgs) -> String {
    let OpenFiles { total, files, next } = page;
    let (count, limit, prefix) = (files.len(), args.length, &args.prefix);
    let mut text = format!(
        "{total} total open files. Showing {count} open files (limit {limit}) under path prefix:\n  \
         {prefix}\n"
    );
    if !args.start.is_empty() {
        let _ = writeln!(text, "after continuation token:\n  {}", args.start);
    }
    text.push_str("\nClient ID\t\t\tCreation time\t\tHsync'ed\t");
    if args.deleted {
        text.push_str("Deleted\t");
    }
    if args.overwritten {
        text.push_str("Overwritten\t");
    }
    text.push_str("Open File Path\n");
    for file in files {
        text.push_str(&line(file, args));
        text.push('\n');
    }
    match next {
        Some(token) => {
            let om = &args.om;
            let _ = write!(
                text,
                "\nTo get the next batch of open keys, run:\n  ozone admin om lof {om} \
                 --length={limit} --prefix={prefix} --start={token}"
            );
        }
        None => text.push_str("\nReached the end of the list."),
    }
    text
}

fn line(file: &OpenFile, args: &OpenFilesArgs) -> String {
    let OpenFile { client, key } = file;
    let created = json::instant(key.creation_time.cast_signed());
    let mut text = format!("{client}\t{created}\t");
    match value(file, HSYNC_CLIENT) {
        Some(own) if own == client.to_string() => text.push_str("Yes\t\t"),
        Some(other) => text.push_str(&format!("Yes w/ cid {other}\t")),
        None => text.push_str("No\t\t"),
    }
    let answer = |name| if value(file, name).is_some() { "Yes" } else { "No" };
    if args.deleted {
        text.push_str(&format!("{}\t\t", answer(DELETED)));
    }
    if args.overwritten {
        text.push_str(&format!("{}\t", answer(OVERWRITTEN)));
    }
    // In a tree the Ozone Manager knows only the folder's id.
    let path = match key.parent_id.unwrap_or(0) {
        0 => key.key_name.clone(),
        parent => {
            let name = key.key_name.rsplit('/').next().unwrap_or_default();
            format!("{}/{name}", parent.cast_signed())
        }
    };
    text.push_str(&format!("/{}/{}/{path}", key.volume_name, key.bucket_name));
    text
}

fn value<'a>(file: &'a OpenFile, name: &str) -> Option<&'a str> {
    let found = file.key.metadata.iter().find(|pair| pair.key == name);
    found.map(|pair| pair.value.as_deref().unwrap_or_default())
}
