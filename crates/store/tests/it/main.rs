//! The store's one test binary; folders mirror the source. Tests of one adapter's own secrets live in a module of its
//! name, everything that all stores promise in [`conformance`].

#[cfg(feature = "test-support")]
mod conformance;
