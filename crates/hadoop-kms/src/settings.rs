//! Settings, under Hadoop's keys.

use std::time::Duration;

use ozone_config::{ConfigError, Configuration, Unit};

/// How servers are called, and how many data keys are kept ready.
#[derive(Clone, PartialEq, Debug)]
pub struct KmsSettings {
    /// `hadoop.security.kms.client.timeout`, 60 s: connecting, and the whole of an answer.
    pub timeout: Duration,
    /// `hadoop.security.kms.client.failover.max.retries`: how often an unreachable server is followed
    /// by the next; the number of servers if not set.
    pub retries_max: Option<u32>,
    /// `hadoop.security.kms.client.failover.sleep.base.millis`, 100 ms: the first wait, when all
    /// servers have been tried.
    pub wait_first: Duration,
    /// `hadoop.security.kms.client.failover.sleep.max.millis`, 2 s: no wait is longer.
    pub wait_max: Duration,
    /// `hadoop.security.kms.client.encrypted.key.cache.size`, 500: data keys ready per key of a
    /// bucket.
    pub ready_max: usize,
    /// `hadoop.security.kms.client.encrypted.key.cache.low-watermark`, 0.3 of these: below it more are
    /// fetched.
    pub low_watermark: f64,
    /// `hadoop.security.kms.client.encrypted.key.cache.expiry`, 12 h: data keys that nobody asks for
    /// are dropped.
    pub expiry: Duration,
    /// `hadoop.security.kms.client.encrypted.key.cache.num.refill.threads`, 2: fetches at a time.
    pub refills_max: usize,
}

impl Default for KmsSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            retries_max: None,
            wait_first: Duration::from_millis(100),
            wait_max: Duration::from_secs(2),
            ready_max: 500,
            low_watermark: 0.3,
            expiry: Duration::from_secs(12 * 3600),
            refills_max: 2,
        }
    }
}

impl KmsSettings {
    /// Reads them all.
    ///
    /// # Errors
    /// A value is malformed.
    pub fn load(conf: &Configuration) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let key = |name: &str| format!("hadoop.security.kms.client.{name}");
        let retries = key("failover.max.retries");
        let watermark = key("encrypted.key.cache.low-watermark");
        let low_watermark = conf.typed(
            &watermark,
            usual.low_watermark,
            "a part of the cache: more than 0, at most 1",
            // Java's own default is written 0.3f.
            |text| {
                let part: f64 = text.trim_end_matches(['f', 'F']).parse().ok()?;
                (part > 0.0 && part <= 1.0).then_some(part)
            },
        )?;
        let milliseconds = |name: &str, usual| conf.duration(&key(name), usual, Unit::Milliseconds);
        Ok(Self {
            timeout: conf.duration(&key("timeout"), usual.timeout, Unit::Seconds)?,
            retries_max: match conf.get(&retries)?.filter(|text| !text.trim().is_empty()) {
                Some(_) => Some(conf.integer(&retries, 0_u32)?),
                None => None,
            },
            wait_first: milliseconds("failover.sleep.base.millis", usual.wait_first)?,
            wait_max: milliseconds("failover.sleep.max.millis", usual.wait_max)?,
            ready_max: conf.integer(&key("encrypted.key.cache.size"), usual.ready_max)?.max(1),
            low_watermark,
            expiry: milliseconds("encrypted.key.cache.expiry", usual.expiry)?,
            refills_max: conf
                .integer(&key("encrypted.key.cache.num.refill.threads"), usual.refills_max)?
                .max(1),
        })
    }

    /// Data keys of one bucket key below which more are fetched; as many are fetched at first.
    pub(crate) fn low(&self) -> usize {
        // A part of a small number: exact enough, and never negative.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let low = (self.ready_max as f64 * self.low_watermark) as usize;
        low.clamp(1, self.ready_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_hadoop_writes_them() {
        assert_eq!(KmsSettings::load(&Configuration::default()).unwrap(), KmsSettings::default());
        assert_eq!(KmsSettings::default().low(), 150);
        let mut conf = Configuration::default();
        for (name, value) in [
            ("timeout", "7"),
            ("failover.max.retries", "3"),
            ("encrypted.key.cache.size", "10"),
            ("encrypted.key.cache.low-watermark", "0.5f"),
            ("encrypted.key.cache.expiry", "43200000"),
        ] {
            conf.set(format!("hadoop.security.kms.client.{name}"), value);
        }
        let settings = KmsSettings::load(&conf).unwrap();
        assert_eq!(settings.timeout, Duration::from_secs(7));
        assert_eq!(settings.retries_max, Some(3));
        assert_eq!(settings.low(), 5);
        assert_eq!(settings.expiry, Duration::from_secs(12 * 3600));
        conf.set("hadoop.security.kms.client.encrypted.key.cache.low-watermark", "2");
        let error = KmsSettings::load(&conf).unwrap_err().to_string();
        assert!(error.contains("low-watermark"), "{error}");
    }
}
