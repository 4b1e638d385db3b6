//! Chemical elements, and how strongly their atoms scatter electrons.

/// A chemical element, hydrogen to californium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Index in the table.
    index: u8,
}

impl Element {
    /// The element of that symbol, in any case; deuterium (D) counts as hydrogen. `None` if there is none.
    pub fn from_symbol(symbol: &[u8]) -> Option<Element> {
        let symbol = if symbol.eq_ignore_ascii_case(b"D") { b"H" } else { symbol };
        let is_it = |(name, _): &(&str, f64)| name.as_bytes().eq_ignore_ascii_case(symbol);
        let index = TABLE.iter().position(is_it)?;
        Some(Element { index: u8::try_from(index).ok()? })
    }

    /// Number of protons.
    pub fn atomic_number(&self) -> u32 {
        u32::from(self.index) + 1
    }

    /// Symbol in capitals.
    pub fn symbol(&self) -> &'static str {
        TABLE[usize::from(self.index)].0
    }

    /// Elastic scattering factor for electrons at zero angle in angstrom, of the neutral atom.
    ///
    /// The sum of the five amplitudes of Peng, Ren, Dudarev & Whelan, Acta Cryst. A52 (1996) 257, table 1, which is
    /// table 4.3.2.2 of the International Tables for Crystallography, volume C.
    pub fn scattering_factor(&self) -> f64 {
        TABLE[usize::from(self.index)].1
    }
}

/// Symbols and scattering factors, by atomic number from 1 on.
#[rustfmt::skip]
const TABLE: [(&str, f64); 98] = [
    ("H", 0.5288), ("HE", 0.4179), ("LI", 3.2855), ("BE", 3.0522), ("B", 2.794), ("C", 2.5088),
    ("N", 2.2135), ("O", 1.9834), ("F", 1.8012), ("NE", 1.652), ("NA", 4.7758), ("MG", 5.2078),
    ("AL", 5.8872), ("SI", 5.8268), ("P", 5.4876), ("S", 5.1604), ("CL", 4.8577), ("AR", 4.5808),
    ("K", 8.9834), ("CA", 9.9131), ("SC", 9.305), ("TI", 8.7742), ("V", 8.3028), ("CR", 6.9679),
    ("MN", 7.5062), ("FE", 7.1637), ("CO", 6.8532), ("NI", 6.562), ("CU", 5.5991), ("ZN", 6.0634),
    ("GA", 7.107), ("GE", 7.3758), ("AS", 7.3194), ("SE", 7.2041), ("BR", 7.0597), ("KR", 6.8975),
    ("RB", 11.7498), ("SR", 13.1098), ("Y", 12.6708), ("ZR", 12.1548), ("NB", 10.6672), ("MO", 10.2567),
    ("TC", 10.8505), ("RU", 9.5486), ("RH", 9.2342), ("PD", 7.5762), ("AG", 8.6645), ("CD", 9.2272),
    ("IN", 10.4258), ("SN", 10.857), ("SB", 10.9723), ("TE", 10.9961), ("I", 10.9054), ("XE", 10.7932),
    ("CS", 16.465), ("BA", 18.2614), ("LA", 17.787), ("CE", 17.3634), ("PR", 16.9741), ("ND", 16.6021),
    ("PM", 16.2326), ("SM", 15.8874), ("EU", 15.5495), ("GD", 15.2594), ("TB", 14.9459), ("DY", 14.635),
    ("HO", 14.368), ("ER", 14.0736), ("TM", 13.7993), ("YB", 13.5485), ("LU", 13.4724), ("HF", 13.1738),
    ("TA", 12.8509), ("W", 12.5369), ("RE", 12.2641), ("OS", 11.9776), ("IR", 11.7154), ("PT", 10.8085),
    ("AU", 10.5714), ("HG", 10.9626), ("TL", 12.0976), ("PB", 12.5943), ("BI", 13.0933), ("PO", 13.3623),
    ("AT", 13.4693), ("RN", 13.4905), ("FR", 18.704), ("RA", 20.5382), ("AC", 20.4707), ("TH", 20.0921),
    ("PA", 19.5584), ("U", 19.1164), ("NP", 18.666), ("PU", 18.1847), ("AM", 17.8159), ("CM", 17.7007),
    ("BK", 17.3917), ("CF", 16.9506),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_found() {
        let number = |symbol: &str| Some(Element::from_symbol(symbol.as_bytes())?.atomic_number());
        assert_eq!(["H", "d", "C", "Zn", "ZN", "Cf"].map(number), [1, 1, 6, 30, 30, 98].map(Some));
        assert_eq!(["", "X", "CX", "Es", "carbon"].map(number), [None; 5]);
        assert_eq!(Element::from_symbol(b"se").unwrap().symbol(), "SE");
    }
}
