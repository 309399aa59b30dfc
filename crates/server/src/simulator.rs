//! Look-alikes of the providers, for `ordermill dev` and for tests: stateful, on disk, and able to fail in every way that
//! the real ones do. They speak HTTP like the originals, so nothing else in the server may know whether it talks to one.

pub mod stripe;
