//! Calls of a protocol by type (`ProtocolMessageMetrics`).

use std::sync::Arc;
use std::time::Instant;

use crate::record::{Kind, Records};
use crate::value::{Counter, Gauge};

/// Counts and times of the calls of one protocol by the number of their type.
#[derive(Debug)]
pub struct CallTable {
    record: &'static str,
    slots: Vec<Slot>,
    concurrency: Gauge,
}

#[derive(Debug, Default)]
struct Slot {
    name: Option<String>,
    calls: Counter,
    failed: Counter,
    nanos: Counter,
}

impl CallTable {
    /// `record` is the name of Ozone's record, e.g. `OmClientProtocol`; `types` are the types and what
    /// they are called.
    pub fn new(record: &'static str, types: impl IntoIterator<Item = (i32, String)>) -> Arc<Self> {
        let mut slots: Vec<Slot> = Vec::new();
        for (number, name) in types {
            let Ok(number) = usize::try_from(number) else { continue };
            if slots.len() <= number {
                slots.resize_with(number + 1, Slot::default);
            }
            if let Some(slot) = slots.get_mut(number) {
                slot.name = Some(name);
            }
        }
        Arc::new(Self { record, slots, concurrency: Gauge::default() })
    }

    /// Every number that `name` knows, from 0 to 1023.
    pub fn of(record: &'static str, name: impl Fn(i32) -> Option<&'static str>) -> Arc<Self> {
        Self::new(record, (0..1024).filter_map(|n| Some((n, name(n)?.to_owned()))))
    }

    /// A call begins; it ends when the guard is dropped.
    pub fn begin(&self, kind: i32) -> CallGuard<'_> {
        self.concurrency.add(1);
        CallGuard { table: self, kind, begun: Instant::now() }
    }

    /// Calls of a type so far.
    pub fn calls(&self, kind: i32) -> u64 {
        self.slot(kind).map_or(0, |slot| slot.calls.get())
    }

    /// Time of the calls of a type so far, in nanoseconds.
    pub fn nanos(&self, kind: i32) -> u64 {
        self.slot(kind).map_or(0, |slot| slot.nanos.get())
    }

    /// Of them those that failed.
    pub fn failures(&self, kind: i32) -> u64 {
        self.slot(kind).map_or(0, |slot| slot.failed.get())
    }

    fn slot(&self, kind: i32) -> Option<&Slot> {
        self.slots.get(usize::try_from(kind).ok()?)
    }

    /// `<record>_counter{type}`, `<record>_time{type}` in milliseconds, `<record>_concurrency`.
    pub fn collect(&self, records: &mut Records) {
        let mut record = records.record(self.record);
        record.gauge("concurrency", self.concurrency.get());
        for slot in &self.slots {
            let Some(name) = &slot.name else { continue };
            let label = ("type", name.as_str());
            record.labelled("counter", Kind::Counter, label, slot.calls.get() as f64);
            let millis = (slot.nanos.get() / 1_000_000) as f64;
            record.labelled("time", Kind::Counter, label, millis);
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub struct CallGuard<'a> {
    table: &'a CallTable,
    kind: i32,
    begun: Instant,
}

impl CallGuard<'_> {
    /// It failed.
    pub fn fail(&self) {
        if let Some(slot) = self.table.slot(self.kind) {
            slot.failed.inc();
        }
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.table.concurrency.sub(1);
        if let Some(slot) = self.table.slot(self.kind) {
            slot.calls.inc();
            let nanos = self.begun.elapsed().as_nanos();
            slot.nanos.add(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_type_and_while_they_run() {
        let table = CallTable::new("OmClientProtocol", [(11, "CreateVolume".to_owned())]);
        let call = table.begin(11);
        let unknown = table.begin(-5);
        assert_eq!(table.concurrency.get(), 2);
        drop((call, unknown, table.begin(99)));
        assert_eq!((table.calls(11), table.calls(12), table.concurrency.get()), (1, 0, 0));
        let mut records = Records::new("s", "h");
        table.collect(&mut records);
        let text = crate::text(records);
        assert!(
            text.contains("om_client_protocol_counter{type=\"CreateVolume\",hostname=\"h\"} 1")
        );
    }
}
