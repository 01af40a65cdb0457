//! Users of this host.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use parking_lot::Mutex;

/// Names kept at most; beyond that the host is asked each time.
const NAMES_MAX: usize = 10_000;
/// Groups of one user that count.
const GROUPS_MAX: usize = 1024;
/// Room for one entry of the host's user or group database, in bytes.
const ENTRY_BYTES: usize = 16 << 10;

/// Groups of users, remembered (`ShellBasedUnixGroupsMapping` with its cache).
#[derive(Default)]
pub struct Groups(Mutex<HashMap<Arc<str>, Names>>);

/// The groups of one user, the primary one first; empty if the host does not know him.
type Names = Arc<[Arc<str>]>;

impl Groups {
    fn of(&self, user: &str) -> Names {
        if let Some(groups) = self.0.lock().get(user) {
            return groups.clone();
        }
        let groups: Names = groups_of(user).into_iter().map(Arc::from).collect();
        let mut known = self.0.lock();
        if known.len() < NAMES_MAX {
            known.insert(user.into(), groups.clone());
        }
        groups
    }
}

impl om_core::command::Groups for Groups {
    fn primary(&self, user: &str) -> Option<Arc<str>> {
        self.of(user).first().cloned()
    }

    fn include(&self, user: &str, group: &str) -> bool {
        self.of(user).iter().any(|other| **other == *group)
    }
}

/// The user that this process runs as.
pub fn process_user() -> String {
    // SAFETY: takes nothing, cannot fail.
    let id = unsafe { libc::geteuid() };
    user_by_id(id).unwrap_or_else(|| id.to_string())
}

fn user_by_id(id: libc::uid_t) -> Option<String> {
    let mut entry: libc::passwd = unsafe_zeroed();
    let mut buffer = vec![0; ENTRY_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the buffer's length is given.
    let failed =
        unsafe { libc::getpwuid_r(id, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    // SAFETY: on success the name points into `buffer`, which is alive.
    (failed == 0 && !found.is_null()).then(|| unsafe { text(entry.pw_name) })
}

/// Names of all groups of a user, the primary one first.
fn groups_of(user: &str) -> Vec<String> {
    let Ok(name) = CString::new(user) else { return Vec::new() };
    let mut entry: libc::passwd = unsafe_zeroed();
    let mut buffer = vec![0; ENTRY_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the buffer's length is given.
    let failed = unsafe {
        libc::getpwnam_r(name.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found)
    };
    if failed != 0 || found.is_null() {
        return Vec::new();
    }
    let primary = entry.pw_gid;
    let mut ids = vec![primary; GROUPS_MAX];
    let mut count = libc::c_int::try_from(ids.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the name is a C string, and there is room for `count` ids.
    let written =
        unsafe { libc::getgrouplist(name.as_ptr(), primary, ids.as_mut_ptr(), &mut count) };
    // Too many for the room: the first ones are there.
    let known = if written < 0 { ids.len() } else { usize::try_from(count).unwrap_or(0) };
    ids.truncate(known);
    let others = ids.into_iter().filter(|id| *id != primary);
    std::iter::once(primary).chain(others).filter_map(group_by_id).collect()
}

fn group_by_id(id: libc::gid_t) -> Option<String> {
    let mut group: libc::group = unsafe_zeroed();
    let mut buffer = vec![0; ENTRY_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the buffer's length is given.
    let failed =
        unsafe { libc::getgrgid_r(id, &mut group, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    // SAFETY: on success the name points into `buffer`, which is alive.
    (failed == 0 && !found.is_null()).then(|| unsafe { text(group.gr_name) })
}

fn unsafe_zeroed<T>() -> T {
    // SAFETY: used for C structs of integers and pointers, for which zeros are valid.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// `pointer` is a C string that outlives the call.
unsafe fn text(pointer: *const libc::c_char) -> String {
    // SAFETY: see above.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use om_core::command::Groups as _;

    use super::*;

    #[test]
    fn the_user_of_this_process_has_a_primary_group_and_nobody_else_is_made_up() {
        let groups = Groups::default();
        assert!(groups.primary(&process_user()).is_some());
        assert_eq!(groups.primary("no such user"), None);
        assert_eq!(groups.primary("a\0b"), None);
    }

    #[test]
    fn a_user_is_in_every_group_that_id_prints_and_in_no_other() {
        let (groups, user) = (Groups::default(), process_user());
        let printed = std::process::Command::new("id").args(["-Gn", &user]).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert!(printed.split_whitespace().all(|group| groups.include(&user, group)), "{printed}");
        assert_eq!(groups.of(&user).len(), printed.split_whitespace().count());
        assert!(!groups.include(&user, "no such group") && !groups.include("no such user", "root"));
    }
}
