//! Random numbers, and names that meet each other.

/// SplitMix64: one seed, one run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap_or_default()
    }

    /// True one time in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A value, or none one time in `n`.
    pub fn but_one_in<T>(&mut self, n: usize, value: T) -> Option<T> {
        (!self.one_in(n)).then_some(value)
    }
}

/// Few, so that the same name is a file, a folder, a prefix and a key in turn.
const PARTS: [&str; 6] = ["a", "b", "ab", "a-", "a.txt", "B"];
const ODD_PARTS: [&str; 9] =
    ["\u{e9}", "\u{65e5}\u{672c}", "\u{1f600}", "a b", "~", "_", "%2F", "a+b", "\u{ffff}"];
/// Names that are refused, or mean something.
const STRANGE: [&str; 14] = [
    "a/../b",
    "./a",
    "a//b",
    "a/./b",
    "../a",
    "a/..",
    "a:b",
    "a/b:c",
    ".snapshot",
    ".snapshot/a",
    ".Trash/root/a",
    "a/.snapshot",
    "a\\b",
    "a//",
];

impl Random {
    /// A name of one to three parts, as most users write them.
    pub fn clean_name(&mut self) -> String {
        let depth = self.of(&[1, 1, 2, 2, 2, 3]);
        let parts: Vec<&str> = (0..depth)
            .map(|_| if self.one_in(15) { self.of(&ODD_PARTS) } else { self.of(&PARTS) })
            .collect();
        parts.join("/")
    }

    /// Mostly a clean name; else one with odd slashes, or a strange one.
    pub fn name(&mut self) -> String {
        match self.below(40) {
            0 => format!("/{}", self.clean_name()),
            1 | 2 => format!("{}/", self.clean_name()),
            3 => self.of(&STRANGE).to_owned(),
            4 => format!("{}//{}", self.of(&PARTS), self.of(&PARTS)),
            _ => self.clean_name(),
        }
    }

    /// Where a listing begins: nothing, a name, or a part of one.
    pub fn prefix(&mut self) -> String {
        match self.below(8) {
            0..=2 => String::new(),
            3 => self.of(&PARTS).to_owned(),
            4 => format!("{}/", self.of(&PARTS)),
            5 => format!("{}/{}", self.of(&PARTS), self.of(&["a", "b", "ab"])),
            6 => self.clean_name(),
            _ => self.name(),
        }
    }

    /// How many entries a listing may hold.
    pub fn limit(&mut self) -> i32 {
        self.of(&[1, 1, 2, 3, 5, 100, 100, 1000, 0, -1])
    }

    /// Sizes of keys; most need one block.
    pub fn size(&mut self) -> u64 {
        const BLOCK: u64 = 256 << 20;
        match self.below(30) {
            0 => BLOCK,
            1 => BLOCK + 1,
            2 => 2 * BLOCK + 7,
            3..=8 => 0,
            _ => self.of(&[1, 5, 100, 1000]),
        }
    }

    /// Quotas in bytes or names: none, small, unset, malformed.
    pub fn quota(&mut self) -> i64 {
        self.of(&[-1, -1, -1, -2, 0, 3, 5, 1000, 3000, 1 << 30, 1 << 40, -5, i64::MAX])
    }

    /// One ACL as [`crate::requests::acl`] reads it.
    pub fn acl(&mut self) -> String {
        let scope = if self.one_in(3) { "d:" } else { "" };
        let who = self.of(&[
            "u:bob",
            "u:alice",
            "u:root",
            "u:mallory",
            "g:staff",
            "g:users",
            "w:WORLD",
            "a:ANONYMOUS",
        ]);
        let rights = self.of(&[
            "01", "02", "03", "04", "08", "09", "0b", "20", "40", "80", "80", "0001", "ff", "",
        ]);
        format!("{scope}{who}:{rights}")
    }
}
