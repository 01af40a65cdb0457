//! `ozone version`.

/// Version of this program, and of the system it stands in for.
pub const SHORT: &str = concat!(env!("CARGO_PKG_VERSION"), " (compatible with Apache Ozone 2.2.0)");

/// Prints it.
pub fn run() {
    println!("Ozonide {}", env!("CARGO_PKG_VERSION"));
    println!("Compatible with Apache Ozone 2.2.0");
    println!("Built for {} {}", std::env::consts::OS, std::env::consts::ARCH);
}
