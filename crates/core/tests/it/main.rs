//! Core's one test binary: what must hold for whole decisions, whatever is decided. What one function does stands beside it.

mod admission;
mod changes;
mod commanding;
mod facts;
mod lifecycle;
mod placing;
mod receiving;
mod shop;
