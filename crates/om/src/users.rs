//! Users of this host.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::Arc;

use parking_lot::Mutex;

/// Names kept at most; beyond that the host is asked each time.
const NAMES_MAX: usize = 10_000;
/// Room for one entry of the host's user or group database, in bytes.
const ENTRY_BYTES: usize = 16 << 10;

/// Primary groups, remembered (`ShellBasedUnixGroupsMapping` with its cache).
#[derive(Default)]
pub struct Groups(Mutex<HashMap<Arc<str>, Option<Arc<str>>>>);

impl om_core::command::Groups for Groups {
    fn primary(&self, user: &str) -> Option<Arc<str>> {
        if let Some(group) = self.0.lock().get(user) {
            return group.clone();
        }
        let group = primary_group(user).map(Arc::from);
        let mut known = self.0.lock();
        if known.len() < NAMES_MAX {
            known.insert(user.into(), group.clone());
        }
        group
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

fn primary_group(user: &str) -> Option<String> {
    let name = CString::new(user).ok()?;
    let mut entry: libc::passwd = unsafe_zeroed();
    let mut buffer = vec![0; ENTRY_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the buffer's length is given.
    let failed = unsafe {
        libc::getpwnam_r(name.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found)
    };
    if failed != 0 || found.is_null() {
        return None;
    }
    let mut group: libc::group = unsafe_zeroed();
    let mut buffer = vec![0; ENTRY_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: as above.
    let failed = unsafe {
        libc::getgrgid_r(entry.pw_gid, &mut group, buffer.as_mut_ptr(), buffer.len(), &mut found)
    };
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
}
