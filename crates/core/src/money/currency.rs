//! ISO 4217 currencies in circulation and how many decimals each has.
//!
//! This file must not know how a payment provider counts: Stripe's digits differ from ISO's and live in
//! [`crate::stripe`].

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A currency people pay with. Only codes of the table below exist, so it is three capital letters by construction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Vietnamese dong: no decimals.
    pub const VND: Self = Self(*b"VND");
    /// US dollar.
    pub const USD: Self = Self(*b"USD");

    /// The currency of an ISO code in capitals (`VND`) or, as Stripe writes it, small letters (`vnd`). Mixed case,
    /// metals, funds of no circulation and withdrawn codes are `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        let is_one_case = bytes.iter().all(u8::is_ascii_uppercase) || bytes.iter().all(u8::is_ascii_lowercase);
        let code = bytes.map(|byte| byte.to_ascii_uppercase());
        (is_one_case && exponent_of(code).is_some()).then_some(Self(code))
    }

    /// The ISO code in capitals.
    pub fn code(&self) -> &str {
        // The bytes are ASCII capitals by construction, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// The code in small letters, as Stripe writes it.
    pub fn lower_code(self) -> String {
        self.code().to_ascii_lowercase()
    }

    /// How many decimals the minor unit has: 0 for VND, 2 for USD.
    pub fn exponent(self) -> u32 {
        exponent_of(self.0).unwrap_or(2)
    }

    /// Minor units in one major unit: 10 to the power of the exponent.
    pub fn minor_per_major(self) -> i64 {
        10_i64.pow(self.exponent())
    }

    /// Every currency in circulation, by exponent and then by code.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES_BY_EXPONENT.iter().flat_map(|(_, codes)| codes.as_bytes().chunks_exact(4)).filter_map(|chunk| match chunk {
            &[first, second, third, _] => Some(Self([first, second, third])),
            _ => None,
        })
    }
}

fn exponent_of(code: [u8; 3]) -> Option<u32> {
    CODES_BY_EXPONENT
        .iter()
        .find(|(_, codes)| codes.as_bytes().chunks_exact(4).any(|chunk| chunk.starts_with(&code)))
        .map(|(exponent, _)| *exponent)
}

/// ISO 4217: each code is followed by one space. Left out because nobody pays with them: metals, test and bond-market
/// codes (`X…` other than the three CFA/CFP francs and the two Caribbean ones).
const CODES_BY_EXPONENT: [(u32, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY \
         COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
         INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR \
         MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP \
         STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND "),
    (4, "CLF UYW "),
];

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an ISO 4217 currency in circulation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cases_name_one_currency() {
        assert_eq!(Currency::parse("VND"), Some(Currency::VND));
        assert_eq!(Currency::parse("vnd"), Some(Currency::VND));
        assert_eq!((Currency::VND.code(), Currency::VND.lower_code().as_str()), ("VND", "vnd"));
        for text in ["", "VN", "VNDD", "Vnd", "XAU", "XXX", "XTS", "DEM", "VN ", "ND ", "V D", "₫"] {
            assert_eq!(Currency::parse(text), None, "{text}");
        }
    }

    #[test]
    fn exponents_follow_iso() {
        for (code, exponent) in [("VND", 0), ("JPY", 0), ("ISK", 0), ("UGX", 0), ("USD", 2), ("MGA", 2), ("HUF", 2), ("KWD", 3), ("CLF", 4)]
        {
            assert_eq!(Currency::parse(code).map(Currency::exponent), Some(exponent), "{code}");
        }
    }

    #[test]
    fn the_table_is_well_formed() {
        let all: Vec<Currency> = Currency::all().collect();
        let distinct: std::collections::BTreeSet<Currency> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len(), "a code stands twice");
        for currency in all {
            assert_eq!(Currency::parse(currency.code()), Some(currency));
        }
        for (_, codes) in CODES_BY_EXPONENT {
            assert_eq!(codes.len() % 4, 0);
            assert!(codes.as_bytes().chunks(4).all(|chunk| chunk.ends_with(b" ")), "each code is followed by one space");
        }
    }

    #[test]
    fn json_is_the_code() {
        assert_eq!(serde_json::to_string(&Currency::USD).unwrap(), r#""USD""#);
        assert_eq!(serde_json::from_str::<Currency>(r#""usd""#).unwrap(), Currency::USD);
        assert!(serde_json::from_str::<Currency>(r#""XXX""#).is_err());
    }
}
