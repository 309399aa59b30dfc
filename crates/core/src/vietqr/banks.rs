//! The banks that take `VietQR` transfers. This file must hold names and numbers only.

/// A bank of NAPAS' network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bank {
    /// Its bank identification number, six digits: what a code names it by.
    pub bin: &'static str,
    /// Its short code, such as `VCB`.
    pub code: &'static str,
    /// The name that people know it by.
    pub name: &'static str,
}

/// The bank of that number. A number of two names is given the name in use today.
pub fn bank_by_bin(bin: &str) -> Option<&'static Bank> {
    BANKS.iter().find(|bank| bank.bin == bin)
}

/// The bank of that short code or name, in any case.
pub fn bank_by_code(text: &str) -> Option<&'static Bank> {
    BANKS.iter().find(|bank| bank.code.eq_ignore_ascii_case(text) || bank.name.eq_ignore_ascii_case(text))
}

const fn bank(bin: &'static str, code: &'static str, name: &'static str) -> Bank {
    Bank { bin, code, name }
}

/// By number. Banks that changed their names stand with both, today's first.
const BANKS: [Bank; 43] = [
    bank("546034", "CAKE", "CAKE by VPBank"),
    bank("546035", "UBANK", "Ubank by VPBank"),
    bank("668888", "KBANK", "Kasikornbank"),
    bank("963369", "LIOBANK", "Liobank"),
    bank("963388", "TIMO", "Timo"),
    bank("970400", "SGB", "SaigonBank"),
    bank("970403", "STB", "Sacombank"),
    bank("970405", "AGRIBANK", "Agribank"),
    bank("970406", "VIKKI", "Vikki Bank"),
    bank("970407", "TCB", "Techcombank"),
    bank("970409", "BAB", "BacA Bank"),
    bank("970412", "PVCOMBANK", "PVcomBank"),
    bank("970414", "MBV", "MBV"),
    bank("970414", "OCEANBANK", "Ocean Bank"),
    bank("970415", "CTG", "VietinBank"),
    bank("970416", "ACB", "ACB"),
    bank("970418", "BID", "BIDV"),
    bank("970419", "NVB", "NCB Bank"),
    bank("970422", "MBB", "MB Bank"),
    bank("970423", "TPB", "TPBank"),
    bank("970424", "SVB", "Shinhan Bank"),
    bank("970425", "ABB", "AB Bank"),
    bank("970426", "MSB", "MSB"),
    bank("970427", "VAB", "VietABank"),
    bank("970428", "NAB", "Nam A Bank"),
    bank("970429", "SCB", "SCB"),
    bank("970430", "PGB", "PG Bank"),
    bank("970431", "EIB", "Eximbank"),
    bank("970432", "VPB", "VPBank"),
    bank("970433", "VBB", "VietBank"),
    bank("970436", "VCB", "Vietcombank"),
    bank("970437", "HDB", "HDBank"),
    bank("970438", "BAOVIETBANK", "BaoViet Bank"),
    bank("970440", "SSB", "SeABank"),
    bank("970441", "VIB", "VIB"),
    bank("970443", "SHB", "SHB"),
    bank("970446", "COOPBANK", "Co-op Bank"),
    bank("970448", "OCB", "OCB Bank"),
    bank("970449", "LPB", "LPBank"),
    bank("970449", "LPB", "LienVietPostBank"),
    bank("970452", "KLB", "KienlongBank"),
    bank("970454", "BVB", "BVBank"),
    bank("971025", "MOMO", "MoMo"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        bin: String,
        code: String,
    }

    #[test]
    fn banks_are_as_in_the_reference() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../vectors/banks.json")).unwrap();
        assert_eq!(vectors.len(), BANKS.len());
        for vector in &vectors {
            let known = bank_by_code(&vector.name).unwrap();
            assert_eq!((known.bin, known.code), (vector.bin.as_str(), vector.code.as_str()));
            assert!(bank_by_bin(&vector.bin).is_some());
            assert_eq!(bank_by_code(&vector.code.to_lowercase()).map(|bank| bank.bin), Some(vector.bin.as_str()));
        }
        assert_eq!(bank_by_bin("970414").map(|bank| bank.name), Some("MBV"));
        assert_eq!(bank_by_bin("970449").map(|bank| bank.name), Some("LPBank"));
        assert_eq!((bank_by_bin("000000"), bank_by_code("")), (None, None));
    }
}
