//! Ranges of network addresses, as `trusted_proxies` names them. This file must not look names up.

use std::fmt;
use std::net::IpAddr;

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or one address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// Reads `ADDRESS/BITS` or `ADDRESS`. Bits set beyond the prefix (`10.1.2.3/8`) are refused: the writer meant
    /// something else than they wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().ok()?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok().filter(|bits| *bits <= width)?,
            Some(_) => return None,
        };
        let range = Self { network, prefix_bits };
        (range.masked(network) == network).then_some(range)
    }

    /// Whether the address lies in the range. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = if self.network.is_ipv4() { address.to_canonical() } else { address };
        address.is_ipv4() == self.network.is_ipv4() && self.masked(address) == self.network
    }

    /// Whether every address of its family lies in the range.
    pub const fn is_everything(&self) -> bool {
        self.prefix_bits == 0
    }

    fn masked(self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        Cidr::parse(range).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_what_shares_its_prefix() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("fd00::/8", "fdab::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"), "a socket for both families shows IPv4 peers so");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.1.2.3/8", "example.com", "10.0.0/8", "fd00::/129", " 10.0.0.0/8"] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
        assert_eq!(Cidr::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
