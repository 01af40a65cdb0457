//! `-mkdir`, `-touch`, `-touchz`, `-test`, `-stat`.

use chrono::{Duration, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::text;
use super::trouble::Trouble;
use super::walk::{Command, Outcome};

/// `-mkdir`.
#[derive(Default)]
pub struct MakeDirectory {
    parents: bool,
}

impl Command for MakeDirectory {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.parents = Format::new(1, MANY, &["p"]).parse(arguments)?.has("p");
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if !item.is_directory() {
            return Err(Trouble::is_not_directory(&item.text));
        }
        if self.parents { Ok(()) } else { Err(Trouble::exists(&item.text)) }
    }

    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if !self.parents
            && let Some(parent) = item.path.parent()
            && !item.system.exists(&parent)?
        {
            return Err(Trouble::missing(&parent.to_string()));
        }
        if item.system.mkdirs(&item.path)? { Ok(()) } else { Err(Trouble::failed(&item.text)) }
    }
}

fn create(item: &Item) -> Outcome {
    item.system.create(&item.path, 0, true)?.close()
}

fn require_parent(item: &Item) -> Outcome {
    if item.parent_exists()? {
        return Ok(());
    }
    Err(Trouble::missing_in_full(&item.text, &item.path.to_string()))
}

/// `-touchz`.
pub struct TouchEmpty;

impl Command for TouchEmpty {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(1, MANY, &[]).parse(arguments).map(drop)
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        if item.length() != 0 {
            return Err(Trouble::path(&item.text, "Not a zero-length file"));
        }
        create(item)
    }

    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        require_parent(item)?;
        create(item)
    }
}

/// `yyyyMMdd:HHmmss` as Java's `SimpleDateFormat` reads it: what is too much for a field goes over into the next one, and
/// what follows does not count.
fn timestamp(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = text.split_once(':')?;
    let number = |digits: Option<&str>| -> Option<i64> {
        digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    };
    let year = number(date.get(..4))?;
    let month = number(date.get(4..6))?;
    let day = number(date.get(6..))?;
    let hour = number(time.get(..2))?;
    let minute = number(time.get(2..4))?;
    let end = time
        .get(4..)?
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .map_or(time.len(), |at| 4 + at);
    let second = number(time.get(4..end))?;
    let months = year.checked_mul(12)?.checked_add(month - 1)?;
    let first = NaiveDate::from_ymd_opt(
        i32::try_from(months.div_euclid(12)).ok()?,
        u32::try_from(months.rem_euclid(12)).ok()? + 1,
        1,
    )?;
    let seconds = (hour * 60 + minute).checked_mul(60)?.checked_add(second)?;
    let past = Duration::try_days(day - 1)?.checked_add(&Duration::try_seconds(seconds)?)?;
    first.and_time(NaiveTime::MIN).checked_add_signed(past)
}

/// `-touch`.
#[derive(Default)]
pub struct Touch {
    only_modification: bool,
    only_access: bool,
    never_create: bool,
    time: Option<String>,
}

impl Touch {
    fn set(&self, item: &Item) -> Outcome {
        let time = match &self.time {
            None => Utc::now().timestamp_millis(),
            Some(text) => timestamp(text)
                .and_then(|time| Local.from_local_datetime(&time).earliest())
                .map(|time| time.timestamp_millis())
                .ok_or_else(|| {
                    Trouble::Illegal(format!(
                        "Unable to parse the specified timestamp {text}. The expected format is \
                         yyyyMMdd:HHmmss"
                    ))
                })?,
        };
        let only_one = self.only_modification != self.only_access;
        let modified = if only_one && self.only_access { -1 } else { time };
        let accessed = if only_one && self.only_modification { -1 } else { time };
        Ok(item.system.set_times(&item.path, modified, accessed)?)
    }
}

impl Command for Touch {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
        if let Some(at) = arguments[..end].iter().position(|word| word == "-t") {
            if at + 1 >= arguments.len() {
                return Err(Trouble::Illegal("option -t requires 1 argument.".to_owned()));
            }
            self.time = Some(arguments.remove(at + 1));
            arguments.remove(at);
        }
        let given = Format::new(1, MANY, &["t", "a", "m", "c"]).parse(arguments)?;
        self.only_modification = given.has("m");
        self.only_access = given.has("a");
        self.never_create = given.has("c");
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        self.set(item)
    }

    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        require_parent(item)?;
        if self.never_create {
            return Ok(());
        }
        create(item)?;
        if self.time.is_some() { self.set(item) } else { Ok(()) }
    }
}

/// `-test`.
#[derive(Default)]
pub struct Test {
    flag: String,
}

impl Command for Test {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(1, 1, &["e", "d", "f", "s", "z", "w", "r"]).parse(arguments)?;
        let mut flags = given.flags();
        let illegal = |text: &str| Err(Trouble::Illegal(text.to_owned()));
        match (flags.next(), flags.next()) {
            (Some(flag), None) => flag.clone_into(&mut self.flag),
            (None, _) => return illegal("No test flag given"),
            _ => return illegal("Only one test flag is allowed"),
        }
        Ok(())
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let holds = match &self.flag[..] {
            "d" => item.is_directory(),
            "f" => item.is_file(),
            "s" => item.length() > 0,
            "z" => item.length() == 0,
            "w" => allowed(item, 2),
            "r" => allowed(item, 4),
            _ => true,
        };
        if !holds {
            shell.exit_code = 1;
        }
        Ok(())
    }

    fn missing(&mut self, shell: &mut Shell, _item: &Item) -> Outcome {
        shell.exit_code = 1;
        Ok(())
    }
}

/// Whether the permission bits, which Ozone gives to all, allow it.
fn allowed(item: &Item, bit: u16) -> bool {
    let Some(status) = &item.status else { return false };
    let user = ozone_client::user::current();
    let shift = if status.owner == user {
        6
    } else if ozone_client::user::primary_group(&user).is_some_and(|group| group == status.group) {
        3
    } else {
        0
    };
    (status.mode >> shift) & bit != 0
}

/// `-stat`.
pub struct Stat {
    recursive: bool,
    format: String,
}

impl Default for Stat {
    fn default() -> Self {
        Self { recursive: false, format: "%y".to_owned() }
    }
}

impl Command for Stat {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        const FORMAT: Format = Format::new(1, MANY, &["R"]);
        self.recursive = FORMAT.parse(arguments)?.has("R");
        if arguments[0].contains('%') {
            self.format = arguments.remove(0);
        }
        // Behind the format -R is taken away, too, and means nothing.
        FORMAT.parse(arguments).map(drop)
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let Some(status) = &item.status else { return Err(Trouble::missing(&item.text)) };
        let mut line = String::new();
        let mut chars = self.format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                line.push(char);
                continue;
            }
            let Some(letter) = chars.next() else { break };
            match letter {
                'a' => line += &format!("{:o}", octal(status.mode)),
                'A' => line += &text::mode(status.mode),
                'b' => line += &status.length.to_string(),
                'F' => line += if status.is_directory { "directory" } else { "regular file" },
                'g' => line += &status.group,
                'n' => line += item.path.name(),
                'o' => line += &status.block_size.to_string(),
                'r' => line += &status.replication.to_string(),
                'u' => line += &status.owner,
                'x' => line += &text::utc_second(status.access_time),
                'X' => line += &status.access_time.to_string(),
                'y' => line += &text::utc_second(status.modification_time),
                'Y' => line += &status.modification_time.to_string(),
                other => line.push(other),
            }
        }
        shell.line(&line)
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }
}

fn octal(mode: u16) -> u16 {
    mode & 0o1777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_read_as_generously_as_java_does() {
        let read = |text| timestamp(text).map(|time| time.to_string());
        assert_eq!(read("20200229:010203").unwrap(), "2020-02-29 01:02:03");
        assert_eq!(read("20201301:000000").unwrap(), "2021-01-01 00:00:00");
        assert_eq!(read("20200030:000000").unwrap(), "2019-12-30 00:00:00");
        assert_eq!(read("20200101:250000").unwrap(), "2020-01-02 01:00:00");
        assert_eq!(read("20200101:000000x").unwrap(), "2020-01-01 00:00:00");
        for wrong in [
            "2020",
            "20200101",
            "2020-01-01",
            "",
            ":",
            "20200101:0000",
            "99999999999999999999:000000",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
