//! The store's one test binary; folders mirror the source. Tests of one adapter's own secrets live in a module of its
//! name, everything that all stores promise in [`conformance`].

#[cfg(feature = "test-support")]
mod budget;
#[cfg(feature = "test-support")]
mod conformance;
#[cfg(feature = "test-support")]
mod faulty;
#[cfg(feature = "test-support")]
mod fsck;
#[cfg(feature = "test-support")]
mod inspect;
#[cfg(all(feature = "postgres", feature = "test-support"))]
mod postgres;
#[cfg(all(feature = "sqlite", feature = "test-support"))]
mod sqlite;
