//! Containers: made on open pipelines, filled, closed, read.

mod allocate;
mod close;
mod report;
#[cfg(test)]
mod tests;

pub use allocate::Choice;
pub use report::named_containers;
