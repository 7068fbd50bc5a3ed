//! The few DER encodings (X.690) that certificates and timestamp tokens are made of.
//!
//! Only writing, and only of values that this crate chooses itself: nothing here parses.

use jiff::{Timestamp, tz::TimeZone};

/// One tag, its length and its content.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = minimal(content.len());
            out.push(0x80 | bytes.len().to_le_bytes()[0]);
            out.extend_from_slice(&bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

/// Big-endian bytes without leading zeros.
fn minimal(value: usize) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// `SEQUENCE`.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// `SET OF`: the encodings in ascending order, as DER demands.
pub(crate) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x31, &sorted(parts))
}

/// The content of a `SET OF`, for an implicitly tagged one.
pub(crate) fn sorted(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = parts.to_vec();
    parts.sort();
    parts.concat()
}

/// A non-negative `INTEGER` from big-endian bytes.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| first & 0x80 != 0) {
        digits.insert(0, 0);
    }
    element(0x02, &digits)
}

/// `OBJECT IDENTIFIER` from its arcs.
pub(crate) fn oid(arcs: &[u64]) -> Vec<u8> {
    let (first, rest) = match arcs {
        [first, second, rest @ ..] => (first * 40 + second, rest),
        [only] => (only * 40, [].as_slice()),
        [] => (0, [].as_slice()),
    };
    let mut content = Vec::new();
    for arc in std::iter::once(first).chain(rest.iter().copied()) {
        let mut groups = vec![arc.to_le_bytes()[0] & 0x7f];
        let mut left = arc >> 7;
        while left > 0 {
            groups.push(left.to_le_bytes()[0] & 0x7f | 0x80);
            left >>= 7;
        }
        groups.reverse();
        content.extend_from_slice(&groups);
    }
    element(0x06, &content)
}

/// `OCTET STRING`.
pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    element(0x04, content)
}

/// `BIT STRING` with a whole number of bytes.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    let mut padded = vec![0];
    padded.extend_from_slice(content);
    element(0x03, &padded)
}

/// `BIT STRING` of named bits, trailing zeros removed (X.690, 11.2.2); bit 0 is the highest.
pub(crate) fn named_bits(byte: u8) -> Vec<u8> {
    let unused = byte.trailing_zeros().to_le_bytes()[0] & 0x07;
    element(0x03, &[unused, byte])
}

/// `UTF8String`.
pub(crate) fn utf8(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

/// `PrintableString`.
pub(crate) fn printable(text: &str) -> Vec<u8> {
    element(0x13, text.as_bytes())
}

/// `BOOLEAN` true.
pub(crate) fn yes() -> Vec<u8> {
    element(0x01, &[0xff])
}

/// `NULL`-free context tag, constructed: `[number]`.
pub(crate) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    element(0xa0 | number, content)
}

/// Context tag over a primitive: implicit `[number]`.
pub(crate) fn context_primitive(number: u8, content: &[u8]) -> Vec<u8> {
    element(0x80 | number, content)
}

/// A certificate's `Time`: `UTCTime` until 2049, `GeneralizedTime` after (RFC 5280, 4.1.2.5).
pub(crate) fn time(at: Timestamp) -> Vec<u8> {
    let year = at.to_zoned(TimeZone::UTC).year();
    if (1950..2050).contains(&year) {
        element(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        generalized_time(at)
    }
}

/// `GeneralizedTime` in whole seconds.
pub(crate) fn generalized_time(at: Timestamp) -> Vec<u8> {
    element(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use super::*;

    #[test]
    fn a_large_arc_is_encoded_in_groups_of_seven_bits() {
        assert_eq!(
            oid(&[1, 3, 6, 1, 4, 1, 57264, 1, 1]),
            hex::decode("060a2b0601040183bf300101").unwrap()
        );
    }

    #[test]
    fn lengths_from_128_on_take_the_long_form() {
        assert_eq!(octets(&[0; 127])[..2], [0x04, 0x7f]);
        assert_eq!(octets(&[0; 128])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(octets(&[0; 300])[..4], [0x04, 0x82, 0x01, 0x2c]);
    }

    #[test]
    fn an_integer_with_its_high_bit_set_stays_positive() {
        assert_eq!(integer(&[0x80]), [0x02, 0x02, 0x00, 0x80]);
        assert_eq!(integer(&[0x00, 0x01]), [0x02, 0x01, 0x01]);
        assert_eq!(integer(&[0]), [0x02, 0x01, 0x00]);
    }
}
