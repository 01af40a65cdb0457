//! The trash (`OzoneTrashPolicy`): `.Trash/USER/Current` in the bucket, with checkpoints beside it that
//! are named after their time and deleted when they are old enough.

use chrono::{Local, NaiveDateTime, TimeZone, Utc};
use ozone_client::fs::Place;

use super::path::FsPath;
use super::shell::{self, Item};
use super::system::System;
use super::trouble::Trouble;

/// Directory of all users' trash in a bucket.
const TRASH: &str = ".Trash";
/// What was deleted since the last checkpoint.
const CURRENT: &str = "Current";
/// Names of checkpoints.
const CHECKPOINT: &str = "%y%m%d%H%M%S";
/// Older names of checkpoints, without seconds.
const OLD_CHECKPOINT: &str = "%y%m%d%H%M";
/// How often another name is tried when one is taken.
const ATTEMPTS_MAX: u32 = 1000;

/// Moves a file or directory to the trash. `false` if there is no trash, or it is in it.
pub fn take(item: &Item) -> Result<bool, Trouble> {
    let Some(fs) = item.system.ozone() else { return Ok(false) };
    let path = &item.path.path;
    let place = fs.place(path)?;
    if path == "/" || (fs.is_rooted() && place.is_bucket()) {
        return Err(Trouble::Message(format!(
            "Recursive rm of bucket {} not permitted",
            item.path
        )));
    }
    let Place::Key { key, prefix, .. } = place else {
        return Err(Trouble::Fatal(
            "Recursive rm of volume or bucket with trash enabled is not permitted. Consider using \
             the -skipTrash option."
                .to_owned(),
        ));
    };
    let root = format!("{prefix}/{TRASH}/{}", fs.client().user());
    if (path.contains(TRASH) && root.starts_with(path)) || path.starts_with(&root) {
        return Ok(false);
    }
    if fs.settings().trash_interval_ms == 0 {
        return Ok(false);
    }
    if root.starts_with(&format!("{path}/")) {
        return Err(Trouble::Message(format!(
            "Cannot move \"{}\" to the trash, as it contains the trash",
            item.path
        )));
    }
    // In a bucket of its own, the whole path is the key.
    let inside = item.path.with_path(&format!("{root}/{CURRENT}/{key}"));
    move_into(&item.system, &item.path, inside).map(|target| {
        shell::log("INFO", &format!("Moved: '{}' to trash at: {target}", item.path));
        true
    })
}

fn move_into(system: &System, from: &FsPath, target: FsPath) -> Result<FsPath, Trouble> {
    let failed = |error: Trouble| {
        Trouble::Message(format!("Failed to move to trash: {from}: {}", error.text()))
    };
    let name = target.name().to_owned();
    let mut base = target.parent().unwrap_or_else(|| target.clone());
    for _ in 0..ATTEMPTS_MAX {
        match system.mkdirs(&base).map_err(Trouble::from) {
            Ok(_) => break,
            Err(Trouble::AlreadyExists(_)) => base = around_file(system, &base)?,
            Err(error) => return Err(failed(error)),
        }
    }
    let plain = base.child(&name);
    let mut target = plain.clone();
    while system.exists(&target)? {
        target = plain.with_path(&format!("{}{}", plain.path, Utc::now().timestamp_millis()));
    }
    match system.rename(from, &target) {
        Ok(true) => Ok(target),
        Ok(false) => Err(Trouble::Message(format!("Failed to move to trash: {from}"))),
        Err(error) => Err(failed(error.into())),
    }
}

/// A deleted file is where a directory has to be now: that one gets a name with the time.
fn around_file(system: &System, base: &FsPath) -> Result<FsPath, Trouble> {
    let mut existing = base.clone();
    while !system.exists(&existing)? {
        let Some(parent) = existing.parent() else { break };
        existing = parent;
    }
    let rest = &base.path[existing.path.len().min(base.path.len())..];
    let moved = format!("{}{}{rest}", existing.path, Utc::now().timestamp_millis());
    Ok(base.with_path(&moved))
}

/// Turns what is in the trash into a checkpoint.
pub fn checkpoint(system: &System) -> Result<(), Trouble> {
    for root in system.trash_roots()? {
        let root = system.root.with_path(&root.path);
        let current = root.child(CURRENT);
        if !system.exists(&current)? {
            continue;
        }
        let name = Local::now().format(CHECKPOINT).to_string();
        let mut target = root.child(&name);
        for attempt in 1..=ATTEMPTS_MAX {
            if !system.exists(&target)? {
                break;
            }
            target = root.child(&format!("{name}-{attempt}"));
        }
        if !system.rename(&current, &target)? {
            return Err(Trouble::Message(format!("Failed to checkpoint trash: {target}")));
        }
        shell::log("INFO", &format!("Created trash checkpoint: {}", target.path));
    }
    Ok(())
}

/// Deletes checkpoints that are old enough, or all.
pub fn delete_checkpoints(system: &System, all: bool) -> Result<(), Trouble> {
    let Some(fs) = system.ozone() else { return Ok(()) };
    let now = Utc::now().timestamp_millis();
    let oldest = now - fs.settings().trash_interval_ms;
    for root in system.trash_roots()? {
        for entry in system.list(&system.root.with_path(&root.path))? {
            let path = system.root.with_path(&entry.path);
            if path.name() == CURRENT {
                continue;
            }
            let Some(time) = time_of(path.name()) else {
                shell::log("WARN", &format!("Unexpected item in trash: {path}. Ignoring."));
                continue;
            };
            if !all && time >= oldest {
                continue;
            }
            if system.delete(&path, true)? {
                shell::log("INFO", &format!("Deleted trash checkpoint: {}", path.path));
            } else {
                shell::log("WARN", &format!("Couldn't delete checkpoint: {path} Ignoring."));
            }
        }
    }
    Ok(())
}

/// The time that a checkpoint is named after, in milliseconds since 1970.
fn time_of(name: &str) -> Option<i64> {
    let digits = name.split('-').next().unwrap_or(name);
    let time = NaiveDateTime::parse_from_str(digits, CHECKPOINT)
        .or_else(|_| NaiveDateTime::parse_from_str(digits, OLD_CHECKPOINT))
        .ok()?;
    Some(Local.from_local_datetime(&time).earliest()?.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_tell_their_time() {
        let minute = time_of("2611211030").unwrap();
        assert_eq!(time_of("261121103015"), Some(minute + 15_000));
        assert_eq!(time_of("261121103015-2"), Some(minute + 15_000));
        assert_eq!(time_of(CURRENT), None);
        assert_eq!(time_of("notatime"), None);
    }
}
