//! Who the client acts as when there is no Kerberos.

use std::ffi::{CStr, CString};

/// Bytes for the answer of `getpwuid_r`.
const PASSWD_BYTES: usize = 16 << 10;

/// `HADOOP_USER_NAME` if set, else the name of the process's user, else its number.
pub fn current() -> String {
    match std::env::var("HADOOP_USER_NAME") {
        Ok(name) if !name.is_empty() => name,
        _ => process_user(),
    }
}

/// The name of the first group of a local user; `None` if the machine knows no such user.
pub fn primary_group(user: &str) -> Option<String> {
    let name = CString::new(user).ok()?;
    // SAFETY: all-zero is a valid `passwd`: plain integers and null pointers.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    let mut buffer = vec![0; PASSWD_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: name is terminated; all pointers live through the call; the length is the buffer's.
    let code = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            &raw mut record,
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        )
    };
    if code != 0 || found.is_null() {
        return None;
    }
    group_name(record.pw_gid)
}

/// The name of a local group.
pub fn group_name(gid: u32) -> Option<String> {
    // SAFETY: all-zero is a valid `group`: plain integers and null pointers.
    let mut record: libc::group = unsafe { std::mem::zeroed() };
    let mut buffer = vec![0; PASSWD_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: record, buffer and found live through the call, and the length is the buffer's.
    let code = unsafe {
        libc::getgrgid_r(gid, &raw mut record, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
    };
    if code != 0 || found.is_null() || record.gr_name.is_null() {
        return None;
    }
    // SAFETY: on success gr_name points to a terminated text inside buffer, which still lives.
    let name = unsafe { CStr::from_ptr(record.gr_name) };
    Some(name.to_string_lossy().into_owned())
}

/// The name of a local user.
pub fn user_name(uid: u32) -> Option<String> {
    // SAFETY: all-zero is a valid `passwd`: plain integers and null pointers.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    let mut buffer = vec![0; PASSWD_BYTES];
    let mut found = std::ptr::null_mut();
    // SAFETY: record, buffer and found live through the call, and the length is the buffer's.
    let code = unsafe {
        libc::getpwuid_r(uid, &raw mut record, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
    };
    if code != 0 || found.is_null() || record.pw_name.is_null() {
        return None;
    }
    // SAFETY: on success pw_name points to a terminated text inside buffer, which still lives.
    let name = unsafe { CStr::from_ptr(record.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

fn process_user() -> String {
    // SAFETY: geteuid takes nothing and cannot fail.
    let uid = unsafe { libc::geteuid() };
    user_name(uid).unwrap_or_else(|| uid.to_string())
}
