//! Commands whose arguments are judged, but which Ozone's file systems have no operation for: `-setfacl`, `-getfattr`,
//! `-setfattr`, `-truncate`, `-appendToFile`, `-concat`.

use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::trouble::Trouble;
use super::walk::{Command, Outcome};

fn unsupported(operation: &str) -> Trouble {
    Trouble::Fatal(format!("Ozone's file systems do not support {operation}"))
}

/// `-setfacl`.
pub struct SetAcl;

impl Command for SetAcl {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(0, MANY, &["b", "k", "R", "m", "x", "-set"]).parse(arguments)?;
        let removes = given.has("b") || given.has("k");
        let modifies = given.has("m") || given.has("x");
        let sets = given.has("-set");
        let illegal = |text: &str| Err(Trouble::Illegal(text.to_owned()));
        let both = given.has("b") && given.has("k") || given.has("m") && given.has("x");
        if both || removes && modifies || sets && (removes || modifies) {
            return illegal("Specified flags contains both remove and modify flags");
        }
        if modifies || sets {
            match &arguments[..] {
                [] => return illegal("Missing arguments: <acl_spec> <path>"),
                [_] => return illegal("Missing either <acl_spec> or <path>"),
                _ => check_entries(&arguments.remove(0), !given.has("x"))?,
            }
        } else if !removes {
            return illegal("Expected one of -b, -k, -m, -x or --set options");
        }
        match arguments.len() {
            0 => illegal("<path> is missing"),
            1 => Ok(()),
            _ => illegal("Too many arguments"),
        }
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if !item.exists() {
            return Err(Trouble::missing(&item.text));
        }
        Err(unsupported("POSIX ACLs: use `ozone sh key setacl`"))
    }
}

/// Whether every entry is `[default:]KIND:[NAME]`, and `:rwx` behind it where permissions are to be given
/// (`AclEntry.parseAclEntry`).
fn check_entries(text: &str, with_permission: bool) -> Outcome {
    for entry in text.split(',') {
        check_entry(entry, with_permission)
            .map_err(|what| Trouble::Illegal(format!("{what}{entry}")))?;
    }
    Ok(())
}

fn check_entry(entry: &str, with_permission: bool) -> Result<(), &'static str> {
    const MALFORMED: &str = "Invalid <aclSpec> : ";
    let mut fields = entry.trim_end_matches(':').split(':').peekable();
    fields.next_if_eq(&"default");
    let kind = fields.next().ok_or(MALFORMED)?.to_lowercase();
    if !["user", "group", "mask", "other"].contains(&&kind[..]) {
        return Err("Invalid type of acl in <aclSpec> :");
    }
    fields.next(); // The name.
    if with_permission {
        let bits = fields.next().ok_or(MALFORMED)?.as_bytes();
        let each = |(bit, letter): (&u8, &u8)| bit == letter || *bit == b'-';
        if bits.len() != 3 || !bits.iter().zip(b"rwx").all(each) {
            return Err("Invalid permission in <aclSpec> : ");
        }
    }
    if fields.next().is_some() { Err(MALFORMED) } else { Ok(()) }
}

/// `-getfattr`.
#[derive(Default)]
pub struct GetAttributes {
    recursive: bool,
}

impl Command for GetAttributes {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let format = Format::new(0, MANY, &["R", "d"]).with_values(&["n", "e"]);
        let given = format.parse(arguments)?;
        self.recursive = given.has("R");
        let illegal = |text: &str| Err(Trouble::Illegal(text.to_owned()));
        if given.value("n").is_none() && !given.has("d") {
            return illegal("Must specify '-n name' or '-d' option.");
        }
        match arguments.len() {
            0 => illegal("<path> is missing."),
            1 => Ok(()),
            _ => illegal("Too many arguments."),
        }
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        shell.line(&format!("# file: {}", item.text))?;
        Err(unsupported("extended attributes"))
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }
}

/// `-setfattr`.
pub struct SetAttribute;

impl Command for SetAttribute {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let format = Format::new(0, MANY, &[]).with_values(&["n", "v", "x"]);
        let given = format.parse(arguments)?;
        let illegal = |text: &str| Err(Trouble::Illegal(text.to_owned()));
        match (given.value("n"), given.value("x")) {
            (Some(_), Some(_)) => {
                return illegal("Can not specify both '-n name' and '-x name' option.");
            }
            (None, None) => return illegal("Must specify '-n name' or '-x name' option."),
            _ => {}
        }
        match arguments.len() {
            0 => illegal("<path> is missing."),
            1 => Ok(()),
            _ => illegal("Too many arguments."),
        }
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Err(unsupported("extended attributes"))
    }
}

/// `-truncate`.
#[derive(Default)]
pub struct Truncate {
    length: u64,
}

impl Command for Truncate {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(2, MANY, &["w"]).parse(arguments)?;
        let text = arguments.remove(0);
        let length: i64 = text.parse().map_err(|_| {
            shell.warn("Illegal length, a non-negative integer expected");
            Trouble::Illegal(format!("For input string: \"{text}\""))
        })?;
        self.length = u64::try_from(length)
            .map_err(|_| Trouble::Illegal("length must be >= 0".to_owned()))?;
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        if item.length() < self.length {
            return Err(Trouble::Illegal(format!(
                "Cannot truncate to a larger file size. Current size: {}, truncate size: {}.",
                item.length(),
                self.length
            )));
        }
        Err(unsupported("truncating"))
    }
}

/// `-appendToFile`.
pub struct Append;

impl Command for Append {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(0, MANY, &["n"]).parse(arguments)?;
        let Some(target) = arguments.last().filter(|_| arguments.len() > 1).cloned() else {
            return Err(Trouble::Message("missing destination argument".to_owned()));
        };
        let target = shell.item(&target)?;
        if !target.exists() {
            // As in Hadoop the file is there before it turns out that nothing can be appended to it.
            target.system.create(&target.path, 0, false)?.close()?;
        }
        Err(unsupported("appending"))
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }
}

/// `-concat`.
pub struct Concat;

impl Command for Concat {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        match arguments.len() {
            0 => Err(Trouble::Message(format!("Target path not specified. {CONCAT_ARGUMENTS}"))),
            1 | 2 => Err(Trouble::Message(format!(
                "The number of source paths is less than 2. {CONCAT_ARGUMENTS}"
            ))),
            _ => {
                let target = shell.item(&arguments[0])?;
                let (scheme, class) = match target.system.ozone() {
                    Some(fs) if fs.is_rooted() => ("ofs", "RootedOzoneFileSystem"),
                    Some(_) => ("o3fs", "OzoneFileSystem"),
                    None => ("file", "LocalFileSystem"),
                };
                Err(Trouble::Message(format!(
                    "`Dest filesystem '{scheme}' doesn't support concat.': Input/output error: Not \
                     implemented by the {class} FileSystem implementation"
                )))
            }
        }
    }

    fn path(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }
}

const CONCAT_ARGUMENTS: &str = "<target path> <src path> <src path> ...";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_an_acl_say_what_they_are_about() {
        assert!(
            check_entries("user::rwx,default:group:staff:r--,other::---,mask::r--", true).is_ok()
        );
        assert!(check_entries("user:me,default:mask", false).is_ok());
        let refused =
            |text, permission| check_entries(text, permission).unwrap_err().text().to_owned();
        assert_eq!(refused("user::rwx,bogus", true), "Invalid type of acl in <aclSpec> :bogus");
        assert_eq!(refused("user:me", true), "Invalid <aclSpec> : user:me");
        assert_eq!(refused("user:me:rwx", false), "Invalid <aclSpec> : user:me:rwx");
        assert_eq!(refused("user:me:wrx", true), "Invalid permission in <aclSpec> : user:me:wrx");
        assert_eq!(refused("", true), "Invalid type of acl in <aclSpec> :");
    }
}
