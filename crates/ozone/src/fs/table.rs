//! The commands by name, with their usage.

use super::attributes::{Append, Concat, GetAttributes, SetAcl, SetAttribute, Truncate};
use super::copy::{Transfer, Verb};
use super::delete::{Expunge, Remove, RemoveDirectory};
use super::display::{Cat, Checksum, Head, Tail};
use super::find::Find;
use super::ls::Ls;
use super::merge::{Merge, MoveToLocal, Snapshot};
use super::permissions::{Chmod, Chown, GetAcl, SetReplication};
use super::small::{MakeDirectory, Stat, Test, Touch, TouchEmpty};
use super::usage::{Count, Df, Du};
use super::walk::Command;

/// Name, arguments, what it does; in the order of names. Those without arguments and text are old
/// names that are not listed.
const ENTRIES: &[(&str, &str, &str)] = &[
    ("appendToFile", "[-n] <localsrc> ... <dst>", "Appends local files to a file: not with Ozone."),
    ("cat", "[-ignoreCrc] <src> ...", "Prints files."),
    ("checksum", "[-v] <src> ...", "Prints the checksums of files, without reading their data."),
    ("chgrp", "[-R] GROUP PATH...", "Accepted; Ozone keeps no groups of files."),
    (
        "chmod",
        "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
        "Accepted; Ozone has ACLs instead of modes (see `ozone sh`).",
    ),
    ("chown", "[-R] [OWNER][:[GROUP]] PATH...", "Accepted; Ozone keeps the owner of a file."),
    ("concat", "<target path> <src path> <src path> ...", "Joins files: not with Ozone."),
    (
        "copyFromLocal",
        "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
        "As -put.",
    ),
    (
        "copyToLocal",
        "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... \
         <localdst>",
        "As -get.",
    ),
    (
        "count",
        "[-q] [-h] [-v] [-t [<storage type>]] [-u] [-x] [-e] [-s] <path> ...",
        "Counts directories, files and bytes. -q, -u: also, or only, quotas. -h: sizes for people. \
         -v: a header line.",
    ),
    (
        "cp",
        "[-f] [-p | -p[topax]] [-d] [-t <thread count>] [-q <thread pool queue size>] <src> ... <dst>",
        "Copies files and directories. -f: over existing files. -p: with times and modes. -d: \
         without a temporary name.",
    ),
    ("createSnapshot", "<snapshotDir> [<snapshotName>]", "Makes a snapshot: not yet."),
    ("deleteSnapshot", "<snapshotDir> <snapshotName>", "Deletes a snapshot: not yet."),
    ("df", "[-h] [<path> ...]", "Prints size and use of file systems; Ozone's tell neither."),
    (
        "du",
        "[-s] [-h] [-v] [-x] <path> ...",
        "Prints bytes, bytes on all disks, and path of what is in directories. -s: one line for \
         each argument.",
    ),
    ("dus", "", ""),
    (
        "expunge",
        "[-immediate] [-fs <path>]",
        "Makes a checkpoint of the trash and deletes old ones. -immediate: deletes all of it.",
    ),
    (
        "find",
        "<path> ... <expression> ...",
        "Prints paths for which all expressions hold: -name, -iname <pattern>, -print, -print0.",
    ),
    (
        "get",
        "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... \
         <localdst>",
        "Copies to this machine. -f: over existing files. -p: with times and modes. -crc: with \
         checksum files.",
    ),
    ("getfacl", "[-R] <path>", "Prints the permission bits as an ACL."),
    ("getfattr", "[-R] {-n name | -d} [-e en] <path>", "Extended attributes: not with Ozone."),
    (
        "getmerge",
        "[-nl] [-skip-empty-file] <src> <localdst>",
        "Joins the files of directories in one local file. -nl: with a newline after each.",
    ),
    ("head", "<file>", "Prints the first 1 KB of a file."),
    ("help", "[cmd ...]", "Prints the help of commands."),
    (
        "ls",
        "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [-e] [<path> ...]",
        "Lists directories. -C: paths only. -d: directories as files. -h: sizes for people. -R: \
         with all that is below. -t, -S: by time or size, -r: the other way round.",
    ),
    ("lsr", "", ""),
    ("mkdir", "[-p] <path> ...", "Makes directories. -p: with parents, and if they exist."),
    (
        "moveFromLocal",
        "[-f] [-p] [-l] [-d] <localsrc> ... <dst>",
        "As -put; deletes what was copied.",
    ),
    ("moveToLocal", "<src> <localdst>", "Not implemented, as in Hadoop."),
    ("mv", "<src> ... <dst>", "Renames files and directories within a bucket."),
    (
        "put",
        "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
        "Copies from this machine. -f: over existing files. -p: with times. -d: without a temporary \
         name. <localsrc> - is standard input.",
    ),
    (
        "renameSnapshot",
        "<snapshotDir> <oldName> <newName>",
        "Gives a snapshot another name: not yet.",
    ),
    (
        "rm",
        "[-f] [-r|-R] [-skipTrash] [-safely] <src> ...",
        "Deletes files. -r: and directories. -f: no error if there are none. -skipTrash: at once \
         although there is a trash. -safely: asks before more than 100 files are deleted.",
    ),
    ("rmdir", "[--ignore-fail-on-non-empty] <dir> ...", "Deletes empty directories."),
    ("rmr", "", ""),
    (
        "setfacl",
        "[-R] [{-b|-k} {-m|-x <acl_spec>} <path>]|[--set <acl_spec> <path>]",
        "Sets an ACL: use `ozone sh key setacl`.",
    ),
    ("setfattr", "{-n name [-v value] | -x name} <path>", "Extended attributes: not with Ozone."),
    ("setrep", "[-R] [-w] <rep> <path> ...", "Accepted; see `ozone sh key rewrite`."),
    (
        "stat",
        "[format] <path> ...",
        "Prints what is known of a path: %a %A mode, %b bytes, %F kind, %g group, %n name, %o block \
         size, %r replication, %u owner, %x %X access and %y %Y modification time.",
    ),
    (
        "tail",
        "[-f] [-s <sleep interval>] <file>",
        "Prints the last 1 KB of a file. -f: and what is added, every -s milliseconds.",
    ),
    (
        "test",
        "-[defswrz] <path>",
        "Answers by the exit code: -e it exists, -d a directory, -f a file, -s not empty, -z empty, \
         -r may be read, -w may be written.",
    ),
    (
        "text",
        "[-ignoreCrc] <src> ...",
        "Prints files, unpacking gzip and deflate, and the records of sequence files.",
    ),
    (
        "touch",
        "[-a] [-m] [-t TIMESTAMP (yyyyMMdd:HHmmss) ] [-c] <path> ...",
        "Sets times to now or to -t; makes files that do not exist unless -c.",
    ),
    ("touchz", "<path> ...", "Makes empty files."),
    ("truncate", "[-w] <length> <path> ...", "Cuts files: not with Ozone."),
    ("usage", "[cmd ...]", "Prints the usage of commands."),
];

/// The command of this name.
pub fn command(name: &str) -> Option<Box<dyn Command>> {
    Some(match name {
        "appendToFile" => Box::new(Append),
        "cat" => Box::new(Cat { text: false }),
        "checksum" => Box::new(Checksum::default()),
        "chgrp" => Box::new(Chown::new(true)),
        "chmod" => Box::new(Chmod::default()),
        "chown" => Box::new(Chown::new(false)),
        "concat" => Box::new(Concat),
        "copyFromLocal" | "put" => Box::new(Transfer::new(Verb::Put)),
        "copyToLocal" | "get" => Box::new(Transfer::new(Verb::Get)),
        "count" => Box::new(Count::default()),
        "cp" => Box::new(Transfer::new(Verb::Copy)),
        "createSnapshot" => Box::new(Snapshot::new(1, 2)),
        "deleteSnapshot" => Box::new(Snapshot::new(2, 2)),
        "df" => Box::new(Df::default()),
        "du" => Box::new(Du::default()),
        "dus" => Box::new(Du::summary()),
        "expunge" => Box::new(Expunge::default()),
        "find" => Box::new(Find::default()),
        "getfacl" => Box::new(GetAcl::default()),
        "getfattr" => Box::new(GetAttributes::default()),
        "getmerge" => Box::new(Merge::default()),
        "head" => Box::new(Head),
        "ls" => Box::new(Ls::default()),
        "lsr" => Box::new(Ls::recursive()),
        "mkdir" => Box::new(MakeDirectory::default()),
        "moveFromLocal" => Box::new(Transfer::new(Verb::MoveFromLocal)),
        "moveToLocal" => Box::new(MoveToLocal),
        "mv" => Box::new(Transfer::new(Verb::Move)),
        "renameSnapshot" => Box::new(Snapshot::new(3, 3)),
        "rm" => Box::new(Remove::default()),
        "rmdir" => Box::new(RemoveDirectory::default()),
        "rmr" => Box::new(Remove::recursive()),
        "setfacl" => Box::new(SetAcl),
        "setfattr" => Box::new(SetAttribute),
        "setrep" => Box::new(SetReplication::default()),
        "stat" => Box::new(Stat::default()),
        "tail" => Box::new(Tail::default()),
        "test" => Box::new(Test::default()),
        "text" => Box::new(Cat { text: true }),
        "touch" => Box::new(Touch::default()),
        "touchz" => Box::new(TouchEmpty),
        "truncate" => Box::new(Truncate::default()),
        _ => return None,
    })
}

/// All commands with their arguments.
pub fn usage() -> String {
    let mut text = "Usage: ozone fs [generic options]\n".to_owned();
    for (name, arguments, _) in ENTRIES.iter().filter(|entry| !entry.1.is_empty()) {
        text += &format!("\t[-{name} {arguments}]\n");
    }
    text + "\nGeneric options, in front of the command:\n\
        -conf <file>        one more file of settings\n\
        -D <key=value>      one setting\n\
        -fs <uri>           the file system of paths that name none\n\n"
}

/// One command with its arguments.
pub fn usage_of(name: &str) -> Option<String> {
    let (name, arguments, _) = find(name)?;
    Some(
        format!("Usage: ozone fs [generic options] -{name} {arguments}").trim_end().to_owned()
            + "\n",
    )
}

/// One command with its arguments and what it does.
pub fn help(name: &str) -> Option<String> {
    let (name, arguments, text) = find(name)?;
    Some(format!("-{name} {arguments} :\n  {text}\n"))
}

fn find(name: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    ENTRIES.iter().find(|entry| entry.0 == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_usage() {
        assert!(ENTRIES.is_sorted_by_key(|entry| entry.0));
        for (name, ..) in ENTRIES {
            let known = command(name).is_some() || matches!(*name, "help" | "usage");
            assert!(known, "{name} is listed but unknown");
        }
        assert_eq!(usage_of("head").unwrap(), "Usage: ozone fs [generic options] -head <file>\n");
        assert_eq!(usage_of("bogus"), None);
    }
}
