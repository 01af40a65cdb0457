//! Keys of a bucket with directories in the order of their full names, a page at a time.
//!
//! The server lists one directory at a time, its children in the order of their names. Full names sort
//! differently: of the file `a-b` and the directory `a`, whose full name is `a/`, the file comes first. So
//! what was listed waits in [`Walk::waiting`] until nothing that is still to be listed can come before it.
//! A page asks for as many rows as it shows and a few more, wherever it begins.

use std::collections::BTreeMap;

use om_proto::Status;

use super::{KeySummary, may_hold};
use crate::{Bucket, ClientError, OmError, OzoneClient};

/// A directory that is listed piece by piece.
struct Level {
    /// Its full name without a slash at the end; empty for the bucket.
    path: String,
    /// The last child that was listed, by its full name without a slash.
    last: String,
}

struct Walk<'a> {
    client: &'a OzoneClient,
    bucket: &'a Bucket,
    prefix: &'a str,
    /// The page begins after this name.
    start: &'a str,
    rows: u32,
    /// Directories with children that were not listed yet.
    levels: Vec<Level>,
    /// Listed and not shown, by full name; directories with a slash at the end.
    waiting: BTreeMap<String, KeySummary>,
}

/// The keys and directories after `start` whose names begin with `prefix`, at most `count_max`, and whether
/// there are more.
pub(super) async fn page(
    client: &OzoneClient,
    bucket: &Bucket,
    prefix: &str,
    start: Option<&str>,
    count_max: u32,
) -> Result<(Vec<KeySummary>, bool), ClientError> {
    let start = start.unwrap_or("");
    if start > prefix && !start.starts_with(prefix) {
        return Ok((Vec::new(), false));
    }
    let root = prefix.rsplit_once('/').map_or("", |(directory, _)| directory);
    let rows = client.settings.list_page.min(count_max.saturating_add(2)).max(2);
    let mut walk =
        Walk { client, bucket, prefix, start, rows, levels: Vec::new(), waiting: BTreeMap::new() };
    match prefix.strip_suffix('/').filter(|directory| !directory.is_empty()) {
        // The directory itself has a name that begins so, too; what is in it follows.
        Some(directory) => {
            let (inside, name) = match directory.rsplit_once('/') {
                Some((parent, name)) => (format!("{parent}/"), name),
                None => (String::new(), directory),
            };
            walk.look_for_directory(&inside, name).await?;
        }
        None => walk.enter(root).await?,
    }
    let wanted = count_max as usize;
    let mut keys = Vec::new();
    while let Some(key) = walk.next().await? {
        if keys.len() == wanted {
            return Ok((keys, true));
        }
        keys.push(key);
    }
    Ok((keys, false))
}

impl Walk<'_> {
    /// The next key or directory that belongs to the listing.
    async fn next(&mut self) -> Result<Option<KeySummary>, ClientError> {
        loop {
            let first = self.waiting.keys().next();
            // A child that is still to be listed has a name after the last one.
            let unsure = self
                .levels
                .iter()
                .position(|level| first.is_none_or(|first| level.last.as_str() < first.as_str()));
            if let Some(position) = unsure {
                let level = self.levels.swap_remove(position);
                self.read(level, true).await?;
                continue;
            }
            let Some((name, key)) = self.waiting.pop_first() else { return Ok(None) };
            if name.as_str() > self.prefix && !name.starts_with(self.prefix) {
                return Ok(None);
            }
            if !key.is_file {
                let path = name.trim_end_matches('/');
                let is_after = name.as_str() > self.start || self.start.starts_with(&name);
                if is_after && may_hold(path, self.prefix) {
                    self.enter(path).await?;
                }
            }
            if name.as_str() > self.start && name.starts_with(self.prefix) {
                return Ok(Some(KeySummary { name, ..key }));
            }
        }
    }

    /// Begins with the children of a directory, at the first one that the page may show.
    async fn enter(&mut self, path: &str) -> Result<(), ClientError> {
        let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
        let after = |text: &str| text.strip_prefix(&inside).map(str::to_owned);
        let child = |rest: String| rest.split('/').next().unwrap_or("").to_owned();
        let start = after(self.start).map(child).unwrap_or_default();
        // All names that begin with the prefix have this much of it in this directory.
        let prefix = after(self.prefix).map(child).unwrap_or_default();
        // Directories whose names are shorter sort after the start, though the server lists them before.
        for (end, _) in start.char_indices().filter(|(end, c)| *end > 0 && *c < '/') {
            self.look_for_directory(&inside, &start[..end]).await?;
        }
        let first = start.max(prefix);
        let last = if first.is_empty() { String::new() } else { format!("{inside}{first}") };
        self.read(Level { path: path.to_owned(), last }, false).await
    }

    async fn look_for_directory(&mut self, inside: &str, name: &str) -> Result<(), ClientError> {
        let (path, full) = (inside.trim_end_matches('/'), format!("{inside}{name}"));
        let found = self.list(path, &full, 1).await?;
        let found = found
            .into_iter()
            .find(|child| !child.is_file && child.name.trim_end_matches('/') == full);
        if let Some(directory) = found {
            self.waiting.insert(format!("{full}/"), directory);
        }
        Ok(())
    }

    /// The next piece of a directory. The server gives the row where it starts too, which was seen if the
    /// piece `continues` another.
    async fn read(&mut self, level: Level, continues: bool) -> Result<(), ClientError> {
        let children = self.list(&level.path, &level.last, self.rows).await?;
        let is_full = children.len() >= self.rows as usize;
        let last = children.last().map(|child| child.name.trim_end_matches('/').to_owned());
        for child in children {
            let mut name = child.name.trim_end_matches('/').to_owned();
            if continues && name == level.last {
                continue;
            }
            if !child.is_file {
                name.push('/');
            }
            self.waiting.insert(name, child);
        }
        // A server that gives nothing but the start again has no more.
        if let Some(last) = last.filter(|last| is_full && *last != level.last) {
            self.levels.push(Level { last, ..level });
        }
        Ok(())
    }

    /// Children from `start` on, the start included; none if the directory has gone.
    async fn list(
        &self,
        path: &str,
        start: &str,
        rows: u32,
    ) -> Result<Vec<KeySummary>, ClientError> {
        match self.client.directory_piece(self.bucket, path, start, rows).await {
            Err(ClientError::Om(OmError { status: Status::FileNotFound, .. })) => Ok(Vec::new()),
            other => other,
        }
    }
}
