//! Texts into values, with the rules of Hadoop's `Configuration` getters.

use std::time::Duration;

/// What a duration without a suffix is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
}

pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

pub fn integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => i128::from_str_radix(hex, 16).ok()?,
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    T::try_from(if negative { -number } else { number }).ok()
}

pub fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `30s`, `5m`, `100ms`, or a number of `unit`s; `None` for anything else.
pub fn duration(text: &str, unit: Unit) -> Option<Duration> {
    let (number, suffix) = split(text);
    let nanos: u128 = match suffix.to_ascii_lowercase().as_str() {
        "" => match unit {
            Unit::Milliseconds => 1_000_000,
            Unit::Seconds => 1_000_000_000,
            Unit::Minutes => 60_000_000_000,
        },
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let total = number.parse::<u64>().ok().map(u128::from)?.checked_mul(nanos)?;
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

/// `10KB`, `1.5 GB`, `4096`: bytes, units in base 2; `None` for anything else.
pub fn size(text: &str) -> Option<u64> {
    let (number, suffix) = split(text);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kilobytes" => 10,
        "m" | "mb" | "megabytes" => 20,
        "g" | "gb" | "gigabytes" => 30,
        "t" | "tb" | "terabytes" => 40,
        "p" | "pb" | "petabytes" => 50,
        "e" | "eb" | "exabytes" => 60,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let bytes = float(number)? * (1_u64 << shift) as f64;
    (0.0..=9e18).contains(&bytes).then_some(bytes as u64)
}

/// `10 MB` into `10` and `MB`.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (text[..end].trim(), text[end..].trim())
}
