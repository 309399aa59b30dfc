//! How many connections each client address holds (F51): one machine must not take every place and keep others busy giving way.
//! Behind a proxy every client has the proxy's address, so proxies that the operator named are not counted.

use crate::config::{Cidr, ServerConfig};
use crate::http::client::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What each address holds of one listener. Clones count together.
#[derive(Debug, Clone)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections_max: usize,
    uncounted: Vec<Cidr>,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts until it ends.
#[derive(Debug)]
pub(super) struct Held {
    addresses: Addresses,
    network: Option<IpAddr>,
}

impl Addresses {
    /// As the settings say.
    pub fn new(settings: &ServerConfig) -> Self {
        Self::counting(settings.connections_per_address_max, settings.trusted_proxies.clone())
    }

    /// For listeners that only this machine reaches.
    pub fn unlimited() -> Self {
        Self::counting(usize::MAX, Vec::new())
    }

    fn counting(connections_max: usize, uncounted: Vec<Cidr>) -> Self {
        Self(Arc::new(Inner { connections_max, uncounted, held: Mutex::default() }))
    }

    /// Counts one more connection of that address; `None` if it has as many as it may.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Held> {
        let network = network(address.to_canonical());
        if self.0.uncounted.iter().any(|range| range.contains(address)) {
            return Some(Held { addresses: self.clone(), network: None });
        }
        let mut held = self.held();
        let count = held.entry(network).or_default();
        // An address whose entry is new holds none, and no limit is below one.
        if *count >= self.0.connections_max {
            return None;
        }
        *count += 1;
        Some(Held { addresses: self.clone(), network: Some(network) })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut held = self.addresses.held();
        if let Some(count) = held.get_mut(&network) {
            *count -= 1;
            // What is remembered is bounded by the connections there are.
            if *count == 0 {
                held.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_holds_as_many_as_it_may_and_no_more() {
        let addresses = Addresses::counting(2, Vec::new());
        let admit = |text| addresses.admit(address(text));
        let (first, second) = (admit("203.0.113.9").unwrap(), admit("203.0.113.9").unwrap());
        assert!(admit("203.0.113.9").is_none());
        assert!(admit("::ffff:203.0.113.9").is_none(), "the same, written as IPv6");
        let other = admit("203.0.113.10").unwrap();
        drop(first);
        let third = admit("203.0.113.9").unwrap();
        assert!(admit("203.0.113.9").is_none());
        drop((second, third, other));
        assert!(addresses.held().is_empty(), "nothing is remembered of those who left");
    }

    #[test]
    fn a_customer_of_a_network_is_one_client_however_many_addresses_it_has() {
        let addresses = Addresses::counting(1, Vec::new());
        let _first = addresses.admit(address("2001:db8:1:2::1")).unwrap();
        assert!(addresses.admit(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(addresses.admit(address("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn a_proxy_brings_everybody() {
        let addresses = Addresses::counting(1, vec![Cidr::parse("10.0.0.0/8").unwrap()]);
        let _all: Vec<Held> = (0..100).map(|_| addresses.admit(address("10.1.2.3")).unwrap()).collect();
        assert!(addresses.held().is_empty());
    }
}
