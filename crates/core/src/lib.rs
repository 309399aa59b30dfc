//! ordermill's rules as pure values and functions: bytes and states in, decisions out.
//!
//! Nothing here may read a clock, draw randomness, touch the network or the disk, or know a store. In reading order:
//! the vocabulary ([`id`], [`time`], [`money`], [`contact`]), what is sold ([`catalogue`]), the order and its money
//! ([`order`], [`payment`], [`stripe`], [`sepay`], [`vietqr`]), what happened and who hears of it ([`event`], [`route`],
//! [`job`]), and the waist through which all of it becomes true at once ([`change`], [`admit`]).

pub mod digest;
pub mod id;
pub mod locale;
pub mod money;
pub mod text;
pub mod time;

pub mod code;
pub mod contact;

pub mod account;
pub mod api_key;
pub mod cart;
pub mod catalogue;
pub mod order;
pub mod payment;
pub mod sepay;
pub mod stripe;
pub mod vietqr;

pub mod event;
pub mod inbox;
pub mod job;
pub mod route;

pub mod admit;
pub mod change;
pub mod refusal;
